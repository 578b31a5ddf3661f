"""Reports of coils that were judged, each once: a timer or systemd's path unit asks for them, no stage does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from inspector.config.line import LoadedConfig
from inspector.errors import InputError
from inspector.report.report import LONGEST_NAME, write_report
from inspector.report.verdict_files import Selection
from inspector.sinks.coil_results import RESULTS_FOLDER, CoilResult, read_result

MOST_AT_ONCE: Final = 20
"""Newest coils that are looked at: one that was judged long before reports were switched on gets none."""


def report_judged(config: LoadedConfig) -> Iterator[Path | InputError]:
    """Write the reports that are missing, oldest coil first; yields each file, or why a coil has none.

    Raises InputError for a line without a strip, WorkError when a report cannot be written.
    """
    line = config.line
    if line.strip is None:
        raise InputError(f"{config.path}: has no [strip] table, so no coil is judged")
    folder = line.sinks.out / line.report.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted((line.strip.folder / RESULTS_FOLDER).glob("[0-9]*.json"))
    for path in files[-MOST_AT_ONCE:]:
        endings = [ending for ending, wanted in (("html", True), ("pdf", line.report.pdf)) if wanted]
        missing = [ending for ending in endings if not any(folder.glob(f"{path.stem}-*.{ending}"))]
        if not missing:
            continue
        try:
            result = read_result(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            yield InputError(f"{path}: cannot be read: {error}")
            continue
        for ending in missing:
            try:
                name = f"{path.stem}-{quote(result.id, safe=' ')[:LONGEST_NAME]}"
                yield _report(config, result, folder / f"{name}.{ending}")
            except InputError as error:
                yield error


def _report(config: LoadedConfig, result: CoilResult, to: Path) -> Path:
    selection = Selection(result.id)
    return write_report(
        config.line.sinks.out, selection=selection, config=config, to=to, pdf=to.suffix == ".pdf", coil=result
    )
