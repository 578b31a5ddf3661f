"""Retention's queries: the frames of a run, oldest first, and which of them may be deleted."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, delete, exists, literal_column, select

from inspector.sinks.pictures import picture_name
from inspector.sinks.records.marks import is_marked
from inspector.sinks.records.progress import note_deleted, place_of_row
from inspector.sinks.records.schema import DEFECTS, FRAME_KEY, INGESTS, RUNS, VERDICTS
from inspector.values import REPLAY_EPOCH

PIECE_ROWS: Final = 1000
"""Records per piece of work: about 20 ms, and five times what a fast line adds meanwhile."""


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run of this PC."""

    id: int
    pictures: Path
    """Folder of its pictures."""


def runs_of_this_pc(connection: Connection, pictures: str) -> list[OldRun]:
    """Return this PC's runs, oldest first; pictures of another PC's runs are elsewhere."""
    query = select(RUNS.c.id, RUNS.c.folder).where(RUNS.c.host == socket.gethostname()).order_by(RUNS.c.id)
    with connection.begin():
        return [OldRun(row.id, Path(row.folder) / pictures) for row in connection.execute(query)]


def next_frames(
    connection: Connection, run: OldRun, after: int, *, rejected: bool = False
) -> Sequence[RowMapping]:
    """Return a run's records after the id `after`, at most PIECE_ROWS."""
    later = VERDICTS.alias("later")
    superseded = exists().where(
        later.c.run_id == VERDICTS.c.run_id,
        later.c.camera == VERDICTS.c.camera,
        later.c.frame_id == VERDICTS.c.frame_id,
        # Pictures of live frames have their ingest's epoch in the name, so no later one takes their place.
        VERDICTS.c.ingest_epoch <= REPLAY_EPOCH,
        later.c.ingest_epoch <= REPLAY_EPOCH,
        # "+ 0" keeps SQLite from scanning all newer rejects for each frame: the index on the key is faster.
        later.c.id + 0 > VERDICTS.c.id,
        later.c.decision == "reject",
    )
    named = ("id", *FRAME_KEY, "recorded_ns", "decision", "defects")
    query = select(
        *(VERDICTS.c[name] for name in named), is_marked().label("marked"), superseded.label("superseded")
    ).where(VERDICTS.c.run_id == run.id, VERDICTS.c.id > after)
    if rejected:
        # A literal, because SQLite uses the index of rejects only for a value it knows when it plans the query.
        query = query.where(VERDICTS.c.decision == literal_column("'reject'"))
    return connection.execute(query.order_by(VERDICTS.c.id).limit(PIECE_ROWS)).mappings().all()


def aged(rows: Sequence[RowMapping], before_ns: int, now_ns: int) -> tuple[list[RowMapping], bool]:
    """Return those of a run's next records that are too old, and whether more may follow.

    A run's records are in the order in which they were made. A record from the future was made by a wrong clock,
    and counts as old as the next one.
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


def recorded_pictures(connection: Connection, run: OldRun, frames: set[int]) -> set[str]:
    """Return the picture names, without suffix, of the recorded frames with these numbers."""
    found: set[str] = set()
    cameras = select(INGESTS.c.camera).where(INGESTS.c.run_id == run.id).distinct()
    # One camera per query: for pairs, SQLite would use only the index on the run and scan all its frames.
    for camera in connection.execute(cameras).scalars().all():
        query = select(VERDICTS.c.frame_id, VERDICTS.c.ingest_epoch).where(
            VERDICTS.c.run_id == run.id, VERDICTS.c.camera == camera, VERDICTS.c.frame_id.in_(sorted(frames))
        )
        found |= {picture_name(camera, row.frame_id, row.ingest_epoch) for row in connection.execute(query)}
    return found


def delete_frames(connection: Connection, run: OldRun, rows: Sequence[RowMapping]) -> int:
    """Delete frames of `next_frames` and their defects, in the caller's transaction; returns how many frames."""
    note_deleted(connection, run.id, map(place_of_row, rows))
    keys = [{f"the_{name}": row[name] for name in FRAME_KEY} for row in rows if row["defects"]]
    if keys:
        # One statement per frame, for the reason given in `recorded_pictures`.
        of_frame = (DEFECTS.c[name] == bindparam(f"the_{name}") for name in FRAME_KEY)
        connection.execute(delete(DEFECTS).where(*of_frame), keys)
    return connection.execute(delete(VERDICTS).where(VERDICTS.c.id.in_([row["id"] for row in rows]))).rowcount
