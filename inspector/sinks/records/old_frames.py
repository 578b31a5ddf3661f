"""What retention asks of the tables: the frames of a run, the oldest first, and which of them may go."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, delete, exists, literal_column, select

from inspector.sinks.records.marks import is_marked
from inspector.sinks.records.progress import note_deleted, place_of_row
from inspector.sinks.records.schema import DEFECTS, FRAME_KEY, RUNS, VERDICTS

PIECE_ROWS: Final = 1000
"""Records looked at in one piece: some 20 ms of work, and five times what a fast line adds meanwhile."""


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run of this PC."""

    id: int
    pictures: Path
    """Folder of its pictures."""


def runs_of_this_pc(connection: Connection, pictures: str) -> list[OldRun]:
    """The runs of this PC, the oldest first: another PC's pictures lie elsewhere."""
    query = select(RUNS.c.id, RUNS.c.folder).where(RUNS.c.host == socket.gethostname()).order_by(RUNS.c.id)
    with connection.begin():
        return [OldRun(row.id, Path(row.folder) / pictures) for row in connection.execute(query)]


def next_frames(
    connection: Connection, run: OldRun, after: int, *, rejected: bool = False
) -> Sequence[RowMapping]:
    """The records of a run that follow the one with the id `after`."""
    later = VERDICTS.alias("later")
    superseded = exists().where(
        later.c.run_id == VERDICTS.c.run_id,
        later.c.camera == VERDICTS.c.camera,
        later.c.frame_id == VERDICTS.c.frame_id,
        # "+ 0" keeps SQLite from going through all rejects that are newer, for each frame: the frame's own key is
        # the index to use.
        later.c.id + 0 > VERDICTS.c.id,
        later.c.decision == "reject",
    )
    named = ("id", *FRAME_KEY, "recorded_ns", "decision", "defects")
    query = select(
        *(VERDICTS.c[name] for name in named), is_marked().label("marked"), superseded.label("superseded")
    ).where(VERDICTS.c.run_id == run.id, VERDICTS.c.id > after)
    if rejected:
        # A literal: the index of rejects is not used for a value that the database does not know beforehand.
        query = query.where(VERDICTS.c.decision == literal_column("'reject'"))
    return connection.execute(query.order_by(VERDICTS.c.id).limit(PIECE_ROWS)).mappings().all()


def aged(rows: Sequence[RowMapping], before_ns: int, now_ns: int) -> tuple[list[RowMapping], bool]:
    """Those of a run's next records that are too old, and whether others may follow them.

    A run's records stand in the order in which they were made. A wrong clock made one that is from the future: it
    is as old as those behind it.
    """
    old: list[RowMapping] = []
    future: list[RowMapping] = []
    for row in rows:
        if row["recorded_ns"] > now_ns:
            future.append(row)
        elif row["recorded_ns"] < before_ns:
            old += [*future, row]
            future = []
        else:
            return old, False
    return old, bool(rows)


def recorded_frames(connection: Connection, run: OldRun, frames: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of the frames that have a record."""
    found: set[tuple[str, int]] = set()
    # One camera at a time: SQLite finds pairs by the run alone, which is to go through all of its frames.
    for camera in {camera for camera, _ in frames}:
        numbers = sorted(number for name, number in frames if name == camera)
        query = select(VERDICTS.c.frame_id).where(
            VERDICTS.c.run_id == run.id, VERDICTS.c.camera == camera, VERDICTS.c.frame_id.in_(numbers)
        )
        found |= {(camera, row.frame_id) for row in connection.execute(query)}
    return found


def delete_frames(connection: Connection, run: OldRun, rows: Sequence[RowMapping]) -> int:
    """Delete frames of `next_frames` and their defects, in the transaction at hand; returns how many frames."""
    note_deleted(connection, run.id, map(place_of_row, rows))
    keys = [{f"the_{name}": row[name] for name in FRAME_KEY} for row in rows if row["defects"]]
    if keys:
        # Frame by frame, for the reason of `recorded_frames`.
        of_frame = (DEFECTS.c[name] == bindparam(f"the_{name}") for name in FRAME_KEY)
        connection.execute(delete(DEFECTS).where(*of_frame), keys)
    return connection.execute(delete(VERDICTS).where(VERDICTS.c.id.in_([row["id"] for row in rows]))).rowcount
