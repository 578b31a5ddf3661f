"""How far a run's verdict log was taken over into the database, and how far retention has deleted it since.

Both outlive the records themselves, so that a restart or an import brings back nothing that was deleted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, text

from inspector.sinks.records.schema import INGESTS
from inspector.values import Verdict

NOTHING: Final = -1
"""Before every frame number and capture time."""


class Ingest(NamedTuple):
    """What counts the frames of a camera from 0 on."""

    camera: str
    epoch: int
    """0 where the log does not say."""


class Place(NamedTuple):
    """Where a verdict stands among those of its ingest."""

    ingest: Ingest
    position: int
    """The frame's number. Where the ingest is not known numbers may begin again, and this is the capture time."""


def place_of(verdict: Verdict) -> Place:
    """Where a verdict stands."""
    epoch = verdict.ingest_epoch
    return Place(Ingest(verdict.camera, epoch), verdict.frame_id if epoch else verdict.captured_ns)


def place_of_row(row: Mapping[Any, Any]) -> Place:
    """Where a row of `verdicts` stands; a negative `ingest_epoch` is the capture time of an unknown ingest."""
    epoch = row["ingest_epoch"]
    if epoch > 0:
        return Place(Ingest(row["camera"], epoch), row["frame_id"])
    return Place(Ingest(row["camera"], 0), -epoch)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far each ingest of one run has come."""

    recorded_to: Mapping[Ingest, int]
    deleted_to: Mapping[Ingest, int]

    def recorded(self, place: Place) -> bool:
        """Whether a verdict was taken over, or came before one that was."""
        return place.position <= self.recorded_to.get(place.ingest, NOTHING)

    def deleted(self, place: Place) -> bool:
        """Whether retention has deleted it, or one that came after it."""
        return place.position <= self.deleted_to.get(place.ingest, NOTHING)


def read_progress(connection: Connection, run_id: int) -> Progress:
    """In the transaction at hand."""
    rows = connection.execute(select(INGESTS).where(INGESTS.c.run_id == run_id)).mappings().all()

    def column(name: str) -> dict[Ingest, int]:
        return {Ingest(row["camera"], row["ingest_epoch"]): row[name] for row in rows if row[name] is not None}

    return Progress(column("recorded_to"), column("deleted_to"))


def note_recorded(connection: Connection, run_id: int, places: Iterable[Place]) -> None:
    """In the transaction that records them."""
    _note(connection, run_id, "recorded_to", places)


def note_deleted(connection: Connection, run_id: int, places: Iterable[Place]) -> None:
    """In the transaction that deletes them."""
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
