"""Reads records of a coil, a camera or a time span, streamed in the order of recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select, true

from inspector.sinks.records.schema import DEFECTS, ENGINES, FRAME_KEY, RECIPES, RUNS, VERDICTS
from inspector.values import LATENCIES

NS_PER_S: Final = 10**9

FETCH_ROWS: Final = 10_000
"""Rows in memory at once, about 20 MB."""


class Kind(StrEnum):
    """Type of a column, which each file format writes in its own way."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    TIME = "time"
    """Nanoseconds since 1970."""


Columns = dict[str, Kind]
Rows = Sequence[Sequence[Any]]


def iso_time(time_ns: int) -> str:
    """Format ns since 1970 as UTC to the nanosecond, readable for spreadsheets, pandas and people."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters for records; None means no filter."""

    coil: str | None = None
    camera: str | None = None
    from_ns: int | None = None
    """Captured at this time or later."""
    to_ns: int | None = None
    """Captured before this time."""

    def __str__(self) -> str:
        from_, to = (None if at_ns is None else iso_time(at_ns) for at_ns in (self.from_ns, self.to_ns))
        limits = {"coil": self.coil, "camera": self.camera, "from": from_, "to": to}
        return ", ".join(f"{name} {value}" for name, value in limits.items() if value is not None) or "no limit"


VERDICT_COLUMNS: Final[Columns] = {
    "run": Kind.TEXT,
    "camera": Kind.TEXT,
    "frame_id": Kind.WHOLE,
    "captured": Kind.TIME,
    "position_mm": Kind.NUMBER,
    "coil": Kind.TEXT,
    "decision": Kind.TEXT,
    "reasons": Kind.TEXT,
    "codes": Kind.TEXT,
    "defects": Kind.WHOLE,
    "recipe": Kind.TEXT,
    "engine": Kind.TEXT,
    "file": Kind.TEXT,
    **{f"{stage}_ms": Kind.NUMBER for stage in LATENCIES},
}

DEFECT_COLUMNS: Final[Columns] = {
    "run": Kind.TEXT,
    "camera": Kind.TEXT,
    "defect_id": Kind.TEXT,
    "coil": Kind.TEXT,
    "began": Kind.TIME,
    "ended": Kind.TIME,
    "first_frame": Kind.WHOLE,
    "last_frame": Kind.WHOLE,
    "frames": Kind.WHOLE,
    "kind": Kind.WHOLE,
    "name": Kind.TEXT,
    "area_px": Kind.WHOLE,
    "area_mm2": Kind.NUMBER,
    "across_mm": Kind.NUMBER,
    "along_mm": Kind.NUMBER,
    "score": Kind.NUMBER,
    "rejected_frames": Kind.WHOLE,
}


def decisions(connection: Connection, selection: Selection, line: str) -> tuple[dict[str, int], list[str]]:
    """Return the number of a line's frames by decision, and the engines that judged them."""
    of_line = select(RUNS.c.id).where(RUNS.c.line.startswith(f"{line}@", autoescape=True))
    chosen = and_(_selected(selection), VERDICTS.c.run_id.in_(of_line))
    counted = select(VERDICTS.c.decision, func.count()).where(chosen).group_by(VERDICTS.c.decision)
    engines = (
        select(ENGINES.c.identity)
        .join_from(VERDICTS, ENGINES)
        .where(chosen)
        .distinct()
        .order_by(ENGINES.c.identity)
    )
    with connection.begin():
        counts = {str(decision): int(count) for decision, count in connection.execute(counted)}
        return counts, [str(identity) for identity in connection.execute(engines).scalars()]


def verdicts(connection: Connection, selection: Selection) -> Iterator[Rows]:
    """Yield one row per frame, with VERDICT_COLUMNS."""
    own = ("camera", "frame_id", "captured_ns", "position_mm", "coil", "decision", "reasons", "codes", "defects")
    query = (
        select(
            RUNS.c.folder,
            *(VERDICTS.c[name] for name in own),
            RECIPES.c.identity,
            ENGINES.c.identity,
            VERDICTS.c.file,
            *(VERDICTS.c[f"{stage}_ms"] for stage in LATENCIES),
        )
        .join_from(VERDICTS, RUNS)
        .join(RECIPES)
        .join(ENGINES)
        .where(_selected(selection))
        .order_by(VERDICTS.c.id)
    )
    return _stream(connection, query)


def defects(connection: Connection, selection: Selection) -> Iterator[Rows]:
    """Yield one row per defect on the strip, over all selected frames that show it, with DEFECT_COLUMNS."""
    part, frame = DEFECTS.c, VERDICTS.c
    area_px = func.sum(part.area_px)

    def centre(column: ColumnElement[float]) -> ColumnElement[float]:
        """The mean, weighted by area; a defect's area is at least one pixel."""
        return func.sum(column * part.area_px) / area_px

    identity = (RUNS.c.folder, part.run_id, part.camera, part.defect_id, part.began_ns)
    query = (
        select(
            RUNS.c.folder,
            part.camera,
            part.defect_id,
            func.min(frame.coil),
            part.began_ns,
            func.max(part.captured_ns),
            func.min(part.frame_id),
            func.max(part.frame_id),
            func.count(part.frame_id.distinct()),
            func.min(part.kind),
            func.min(part.name),
            area_px,
            func.sum(part.area_mm2),
            centre(part.across_mm),
            centre(part.along_mm),
            centre(part.score),
            func.count(case((frame.decision == "reject", part.frame_id)).distinct()),
        )
        .join_from(DEFECTS, VERDICTS, and_(*(part[name] == frame[name] for name in FRAME_KEY)))
        .join(RUNS, RUNS.c.id == part.run_id)
        .where(_selected(selection))
        .group_by(*identity)
        .order_by(func.min(frame.id), part.defect_id)
    )
    return _stream(connection, query)


TABLES: Final = {"verdicts": (VERDICT_COLUMNS, verdicts), "defects": (DEFECT_COLUMNS, defects)}
"""Kinds of rows that can be exported: columns and query."""


def newest_coils(connection: Connection, count: int) -> list[str]:
    """Return the last recorded coils, for the error about an unknown one."""
    newest = func.max(VERDICTS.c.id)
    query = select(VERDICTS.c.coil).where(VERDICTS.c.coil.is_not(None)).group_by(VERDICTS.c.coil)
    with connection.begin():
        return list(connection.execute(query.order_by(newest.desc()).limit(count)).scalars())


def _selected(selection: Selection) -> ColumnElement[bool]:
    limits: list[ColumnElement[bool]] = [true()]
    if selection.coil is not None:
        limits.append(VERDICTS.c.coil == selection.coil)
    if selection.camera is not None:
        limits.append(VERDICTS.c.camera == selection.camera)
    if selection.from_ns is not None:
        limits.append(VERDICTS.c.captured_ns >= selection.from_ns)
    if selection.to_ns is not None:
        limits.append(VERDICTS.c.captured_ns < selection.to_ns)
    return and_(*limits)


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Rows]:
    """Fetch rows as they are read, with a cursor on the server."""
    with connection.begin():
        result = connection.execution_options(yield_per=FETCH_ROWS).execute(query)
        yield from result.partitions()
