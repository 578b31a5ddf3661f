"""`inspector export`: writes the records of a coil, a camera or a time span as CSV or Parquet."""

import json
from itertools import chain
from pathlib import Path
from typing import Final

from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.extras import needs_extra

SHOWN_COILS: Final = 5
"""Recorded coils that the error names when the requested one is not recorded."""


def export(
    config_path: Path,
    out: Path,
    rows: str,
    *,
    coil: str | None,
    camera: str | None,
    from_ns: int | None,
    to_ns: int | None,
    as_json: bool,
) -> int:
    """Write the selected records to `out`; returns the exit code. Raises InspectorError."""
    config = load_config(config_path)
    with needs_extra("`inspector export`"):
        from inspector.sinks.records import selection as read
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.table_files import check_format, write_table
    check_format(out)
    selection = read.Selection(coil, camera, from_ns, to_ns)
    columns, select = read.TABLES[rows]
    with Database(str(config.line.records.url)).reading("cannot be read") as connection:
        pieces = select(connection, selection)
        first = next(pieces, None)
        if first is None:
            coils = ", ".join(read.newest_coils(connection, SHOWN_COILS)) or "none"
            raise InputError(f"no {rows} recorded with {selection}: nothing written; newest coils: {coils}")
        try:
            count = write_table(out, columns, chain([first], pieces))
        except OSError as error:
            raise WorkError(f"{out}: cannot be written: {error.strerror or error}") from None
    print(json.dumps({"file": str(out), "rows": count}) if as_json else f"{count} {rows} in {out}")
    return 0
