"""How far a run's verdict log is in the database, and how far retention has deleted it.

Both outlive the records, so that a restart or an import never restores deleted ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, text

from inspector.sinks.records.schema import INGESTS
from inspector.values import Verdict

NOTHING: Final = -1
"""Smaller than every frame number and capture time."""


class Ingest(NamedTuple):
    """One start of a camera's ingest, which numbers its frames from 0."""

    camera: str
    epoch: int
    """0 if the log does not contain it."""


class Place(NamedTuple):
    """A verdict's place within its ingest."""

    ingest: Ingest
    position: int
    """Frame number; capture time if the ingest is unknown, because numbers may then restart."""


def place_of(verdict: Verdict) -> Place:
    """Return a verdict's place."""
    epoch = verdict.ingest_epoch
    return Place(Ingest(verdict.camera, epoch), verdict.frame_id if epoch else verdict.captured_ns)


def place_of_row(row: Mapping[Any, Any]) -> Place:
    """Return the place of a row of `verdicts`; a negative `ingest_epoch` is minus the capture time."""
    epoch = row["ingest_epoch"]
    if epoch > 0:
        return Place(Ingest(row["camera"], epoch), row["frame_id"])
    return Place(Ingest(row["camera"], 0), -epoch)


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of each ingest of one run."""

    recorded_to: Mapping[Ingest, int]
    deleted_to: Mapping[Ingest, int]

    def recorded(self, place: Place) -> bool:
        """Whether this verdict or a later one of its ingest is recorded."""
        return place.position <= self.recorded_to.get(place.ingest, NOTHING)

    def deleted(self, place: Place) -> bool:
        """Whether retention has deleted this verdict or a later one of its ingest."""
        return place.position <= self.deleted_to.get(place.ingest, NOTHING)


def read_progress(connection: Connection, run_id: int) -> Progress:
    """Read a run's progress in the caller's transaction."""
    rows = connection.execute(select(INGESTS).where(INGESTS.c.run_id == run_id)).mappings().all()

    def column(name: str) -> dict[Ingest, int]:
        return {Ingest(row["camera"], row["ingest_epoch"]): row[name] for row in rows if row[name] is not None}

    return Progress(column("recorded_to"), column("deleted_to"))


def note_recorded(connection: Connection, run_id: int, places: Iterable[Place]) -> None:
    """Note recorded verdicts, in the transaction that records them."""
    _note(connection, run_id, "recorded_to", places)


def note_deleted(connection: Connection, run_id: int, places: Iterable[Place]) -> None:
    """Note deleted verdicts, in the transaction that deletes them."""
    _note(connection, run_id, "deleted_to", places)


def _note(connection: Connection, run_id: int, column: str, places: Iterable[Place]) -> None:
    furthest: dict[Ingest, int] = {}
    for ingest, position in places:
        furthest[ingest] = max(position, furthest.get(ingest, NOTHING))
    statement = text(
        f"INSERT INTO ingests (run_id, camera, ingest_epoch, {column}) "  # noqa: S608  # one of two names
        "VALUES (:run_id, :camera, :epoch, :position) ON CONFLICT (run_id, camera, ingest_epoch) "
        f"DO UPDATE SET {column} = excluded.{column} "
        f"WHERE ingests.{column} IS NULL OR ingests.{column} < excluded.{column}"
    )
    rows = [
        {"run_id": run_id, "camera": ingest.camera, "epoch": ingest.epoch, "position": position}
        for ingest, position in furthest.items()
    ]
    if rows:
        connection.execute(statement, rows)
