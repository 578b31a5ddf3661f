"""Marks set by an operator: retention keeps what is marked until the mark is removed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, or_, select, text

from inspector.errors import InputError
from inspector.sinks.records.schema import MARKS, RUNS, VERDICTS

SHOWN_RUNS: Final = 5
"""Most runs named when a frame number is in several."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A coil, or one frame of a camera."""

    coil: str | None = None
    camera: str | None = None
    frame_id: int | None = None
    run: str | None = None
    """Name or path of the run's folder; None if only one run has such a frame."""

    def __str__(self) -> str:
        return f"coil {self.coil}" if self.coil is not None else f"frame {self.camera}:{self.frame_id}"


def is_marked() -> ColumnElement[bool]:
    """Return the condition that a row of `verdicts` is marked, by its coil or as a frame."""
    by_frame = and_(
        MARKS.c.run_id == VERDICTS.c.run_id,
        MARKS.c.camera == VERDICTS.c.camera,
        MARKS.c.frame_id == VERDICTS.c.frame_id,
    )
    return or_(
        exists().where(MARKS.c.coil == VERDICTS.c.coil).correlate(VERDICTS),
        exists().where(by_frame).correlate(VERDICTS),
    )


def hold_marks(connection: Connection) -> None:
    """Block new marks until this transaction ends, so that it may delete what it finds unmarked."""
    _lock_marks(connection, "SHARE")  # shared: retention of another line may hold it too


def _lock_marks(connection: Connection, mode: str) -> None:
    # SQLite has only one writer at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {MARKS.name} IN {mode} MODE"))


def mark(connection: Connection, subjects: Sequence[Subject], note: str, marked_by: str) -> None:
    """Mark all or none; an existing mark gets the new note. Raises InputError for a subject without records."""
    with connection.begin():
        # Keeps retention from deleting a record between the check that it exists and the mark.
        _lock_marks(connection, "SHARE ROW EXCLUSIVE")
        for subject in subjects:
            values = _values(connection, subject)
            connection.execute(delete(MARKS).where(_same(values)))
            connection.execute(
                insert(MARKS).values(note=note, marked_by=marked_by, marked_ns=time.time_ns(), **values)
            )


def unmark(connection: Connection, subjects: Sequence[Subject]) -> None:
    """Remove marks, all or none; raises InputError for a subject without a mark."""
    with connection.begin():
        for subject in subjects:
            taken = connection.execute(delete(MARKS).where(_same(_values(connection, subject))))
            if not taken.rowcount:
                raise InputError(f"{subject}: is not marked: `inspector mark --list` shows what is")


def marks(connection: Connection) -> list[dict[str, Any]]:
    """Return all marks, oldest first."""
    columns = (MARKS.c.coil, RUNS.c.folder, *(MARKS.c[name] for name in ("camera", "frame_id", "note")))
    told = (MARKS.c.marked_by, MARKS.c.marked_ns)
    query = select(*columns, *told).join_from(MARKS, RUNS, isouter=True).order_by(MARKS.c.id)
    with connection.begin():
        return [dict(row) for row in connection.execute(query).mappings()]


def marked_times_ns(connection: Connection) -> frozenset[int]:
    """Return the capture times of all marked frames, ns since 1970."""
    with connection.begin():
        return frozenset(connection.execute(select(VERDICTS.c.captured_ns).where(is_marked())).scalars())


def _values(connection: Connection, subject: Subject) -> dict[str, Any]:
    """Return the mark's columns; raises InputError if the subject is not recorded."""
    if subject.coil is not None:
        if (
            connection.execute(select(VERDICTS.c.id).where(VERDICTS.c.coil == subject.coil).limit(1)).first()
            is None
        ):
            raise InputError(f"coil {subject.coil}: not in the records")
        return {"coil": subject.coil, "run_id": None, "camera": None, "frame_id": None}
    run_id = _run_of(connection, subject)
    return {"coil": None, "run_id": run_id, "camera": subject.camera, "frame_id": subject.frame_id}


def _run_of(connection: Connection, subject: Subject) -> int:
    """Return the only run with the frame; raises InputError for none or several."""
    with_frame = exists().where(
        VERDICTS.c.run_id == RUNS.c.id,
        VERDICTS.c.camera == subject.camera,
        VERDICTS.c.frame_id == subject.frame_id,
    )
    found = connection.execute(select(RUNS.c.id, RUNS.c.folder).where(with_frame).order_by(RUNS.c.id.desc())).all()
    if subject.run is not None:
        found = [row for row in found if subject.run in (row.folder, Path(row.folder).name)]
    if not found:
        raise InputError(f"{subject}: not in the records{'' if subject.run is None else f' of run {subject.run}'}")
    if len(found) > 1:
        names = ", ".join(Path(row.folder).name for row in found[:SHOWN_RUNS])
        raise InputError(f"{subject}: {len(found)} runs have such a frame: add --run, one of {names}")
    return int(found[0].id)


def _same(values: dict[str, Any]) -> ColumnElement[bool]:
    return and_(*(MARKS.c[name].is_not_distinct_from(value) for name, value in values.items()))
