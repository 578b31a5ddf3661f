"""`inspector report`: makes one HTML page of a run's or a service's verdicts, all or some of them."""

import re
import time
from pathlib import Path
from typing import Final

from inspector.config.line import load_config
from inspector.errors import InputError
from inspector.report.report import write_report
from inspector.report.verdict_files import Selection

SECONDS: Final = {"min": 60, "h": 3600, "d": 86_400}
LONGEST_S: Final = 100 * 365 * 86_400
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d)")


def report(
    run: Path | None, config_path: Path | None, *, coil: str | None, last: str | None, to: Path | None
) -> int:
    """Write the report and print its path; returns the exit code. Raises InspectorError."""
    if (run is None) == (config_path is None):
        raise InputError("give the folder of a run, or --config of a line, one of them")
    config = load_config(config_path) if config_path is not None else None
    folder = run if run is not None else config.line.sinks.out if config is not None else Path()
    since_ns = None if last is None else time.time_ns() - _span_ns(last)
    path = write_report(folder, selection=Selection(coil, last, since_ns), config=config, to=to)
    print(f"report   {path}")
    return 0


def _span_ns(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_S:
        raise InputError(f"--last {text}: no length of time: write it as 30min, 8h or 2d")
    return int(seconds * 1e9)
