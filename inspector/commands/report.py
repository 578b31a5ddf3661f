"""Write an HTML page about a run, a coil or the last hours of a line, or a PDF about a coil."""

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, config_path, path
from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InputError
from inspector.report.judged import report_judged
from inspector.report.report import write_report
from inspector.report.verdict_files import Selection

EXAMPLE: Final = "example: inspector report --config line.toml --coil C-48213 --out coil.html"

SECONDS: Final = {"min": 60, "h": 3600, "d": 86_400}
LONGEST_S: Final = 100 * 365 * 86_400
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=path, nargs="?", metavar="RUN", help="folder of a run, replay or service")
    add_config(parser, installed=True)
    parser.add_argument("--coil", help="only this coil")
    parser.add_argument("--last", metavar="TIME", help="only what was captured in the last 30min, 8h or 2d")
    parser.add_argument(
        "--judged",
        action="store_true",
        help="write what [report] at_coil_end asks for: judged coils without a report",
    )
    parser.add_argument("--pdf", action="store_true", help="write the coil's report as a PDF")
    parser.add_argument("--out", type=path, metavar="FILE", help="file to write (default: in RUN)")


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print its path; returns the exit code. Raises InspectorError."""
    if arguments.run is not None and arguments.config is not None:
        raise InputError("give the folder of a run or --config of a line, only one of them")
    config = load_config(config_path(arguments)) if arguments.run is None else None
    if arguments.judged:
        return _judged(arguments, config)
    folder: Path = arguments.run if config is None else config.line.sinks.out
    last: str | None = arguments.last
    since_ns = None if last is None else time.time_ns() - _span_ns(last)
    selection = Selection(arguments.coil, last, since_ns)
    file = write_report(folder, selection=selection, config=config, to=arguments.out, pdf=arguments.pdf)
    print(f"report   {file}")
    return 0


def _judged(arguments: argparse.Namespace, config: LoadedConfig | None) -> int:
    if config is None or arguments.coil or arguments.last or arguments.out or arguments.pdf:
        raise InputError("--judged takes a line's --config and nothing else: [report] in line.toml says the rest")
    if not config.line.report.at_coil_end:
        print(f"{config.path}: report.at_coil_end is false: no report is written")
        return 0
    failed = False
    for made in report_judged(config):
        if isinstance(made, InputError):
            failed = True
            print(f"inspector report: {made}", file=sys.stderr)
        else:
            print(f"report   {made}", flush=True)
    return 1 if failed else 0


def _span_ns(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_S:
        raise InputError(f"--last {text}: not a length of time: write it as 30min, 8h or 2d")
    return int(seconds * 1e9)
