"""Writes tables as CSV for spreadsheets or Parquet for programs, in parts, but whole or not at all."""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.files import whole_file
from inspector.sinks.records.selection import Columns, Kind, Rows, iso_time

CSV_DECIMALS: Final = 4
"""Decimals of mm, mm², ms and scores in CSV; a mean over frames would have sixteen."""

FORMULA_SIGNS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet runs a text that begins with one of these as a formula. The last four are full-width signs."""

Write = Callable[[Rows], None]


def write_table(path: Path, columns: Columns, pieces: Iterable[Rows]) -> int:
    """Write all rows, replacing an existing file; returns the number of rows. Raises OSError."""
    count = 0
    with whole_file(path) as part, _FORMATS[path.suffix](part, columns) as write:
        for rows in pieces:
            write(rows)
            count += len(rows)
    return count


def check_format(path: Path) -> None:
    """Raise InputError for an unsupported suffix or a missing library, before any record is read."""
    if path.suffix not in _FORMATS:
        raise InputError(f"{path}: must end in {' or '.join(_FORMATS)}")
    if path.suffix == ".parquet":
        with needs_extra("Parquet"):
            import pyarrow.parquet  # noqa: F401  # checked here, used below


@contextmanager
def _csv(part: Path, columns: Columns) -> Iterator[Write]:
    kinds = list(columns.values())
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)

        def write(rows: Rows) -> None:
            writer.writerows([_text(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in rows)

        yield write


def _text(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    if kind is Kind.TIME:
        return iso_time(value)
    if kind is Kind.TEXT:
        # An apostrophe marks a cell as text, as in spreadsheets themselves.
        return f"'{value}" if value.startswith(FORMULA_SIGNS) else value
    return round(value, CSV_DECIMALS) if kind is Kind.NUMBER else value


@contextmanager
def _parquet(part: Path, columns: Columns) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        Kind.TEXT: pa.string(),
        Kind.WHOLE: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.TIME: pa.timestamp("ns", tz="UTC"),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(part, schema, compression="zstd") as writer:

        def write(rows: Rows) -> None:
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield write


_FORMATS: Final = {".csv": _csv, ".parquet": _parquet}
