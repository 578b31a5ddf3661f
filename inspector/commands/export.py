"""Write the records of a coil, a camera or a time span to a CSV or Parquet file."""

import argparse
import json
from itertools import chain
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, add_json, add_times, config_path, path
from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.extras import needs_extra
from inspector.numbers import thousands

EXAMPLE: Final = "example: inspector export --config line.toml --coil C-48213 --rows defects --out coil.csv"

SHOWN_COILS: Final = 5
"""Recorded coils that the error names when the requested one is not recorded."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser, installed=True)
    parser.add_argument("--out", type=path, required=True, help="file to write, FILE.csv or FILE.parquet")
    parser.add_argument(
        "--rows",
        choices=("verdicts", "defects"),
        default="verdicts",
        help="one row per frame (default), or per defect, over all frames that show it",
    )
    parser.add_argument("--coil", help="only this coil")
    parser.add_argument("--camera", help="only this camera")
    add_times(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the selected records to a file; returns the exit code. Raises InspectorError."""
    out: Path = arguments.out
    rows: str = arguments.rows
    config = load_config(config_path(arguments))
    with needs_extra("`inspector export`"):
        from inspector.sinks.records import selection as read
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.table_files import check_format, write_table
    check_format(out)
    selection = read.Selection(arguments.coil, arguments.camera, arguments.from_ns, arguments.to_ns)
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
    print(
        json.dumps({"file": str(out), "rows": count}) if arguments.json else f"{thousands(count)} {rows} in {out}"
    )
    return 0
