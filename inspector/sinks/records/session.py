"""Writes verdicts to the tables over one connection; a frame written several times is stored once."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from inspector.sinks.records.database import Insertion, insert_new
from inspector.sinks.records.progress import Progress, note_recorded, place_of, read_progress
from inspector.sinks.records.rows import Entry, Row, Run, defect_rows, frame_row
from inspector.sinks.records.schema import DEFECTS, ENGINES, FRAME_KEY, RECIPES, RUNS, VERDICTS
from inspector.values import Verdict

BATCH_VERDICTS: Final = 200
"""Verdicts per transaction. Building their rows takes under 2 ms, during which decide waits for this thread."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A verdict that the database can never store."""

    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """Result of writing a batch."""

    new: int
    """Verdicts not recorded before."""
    refused: tuple[Refused, ...] = ()


class Session:
    """Writes one run's verdicts over one connection; every method raises DBAPIError."""

    def __init__(self, connection: Connection, run: Run) -> None:
        self.connection = connection
        self._frames = Insertion(connection, VERDICTS)
        self._defects = Insertion(connection, DEFECTS)
        self._identities: dict[tuple[str, str], int] = {}
        with connection.begin():
            row = {"line": run.line, "host": run.host, "folder": str(run.folder)}
            added = connection.execute(
                insert_new(connection, RUNS).values(key=run.key, started_ns=time.time_ns(), **row)
            )
            self.first = added.rowcount == 1
            """Whether the database did not know the run."""
            # The config may have changed between two starts, or the folder may have moved.
            connection.execute(update(RUNS).where(RUNS.c.key == run.key).values(**row))
            self.run_id: int = connection.execute(select(RUNS.c.id).where(RUNS.c.key == run.key)).scalar_one()

    def write(self, entries: Sequence[Entry]) -> Written:
        """Write all verdicts except those that the database refuses; existing frames stay unchanged."""
        try:
            return self._write(entries)
        except (DataError, IntegrityError, StatementError, UnicodeError, OverflowError) as error:
            if isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError):
                raise
            if len(entries) == 1:
                return Written(0, (Refused(entries[0].verdict, f"the database refuses it: {error.args[0]}"),))
        parts = [self.write([entry]) for entry in entries]
        return Written(sum(part.new for part in parts), tuple(each for part in parts for each in part.refused))

    def _write(self, entries: Sequence[Entry]) -> Written:
        """Write all in one transaction."""
        frames = [
            frame_row(
                entry,
                self.run_id,
                self._identity(RECIPES, entry.verdict.recipe),
                self._identity(ENGINES, entry.verdict.engine),
            )
            for entry in entries
        ]
        contradicted: list[Entry] = []
        with self.connection.begin():
            new = self._frames.write(frames)
            if new != len(frames):
                contradicted = self._contradicted(entries, frames)
            refused = {id(entry) for entry in contradicted}
            taken = [entry for entry in entries if id(entry) not in refused]
            self._defects.write([row for entry in taken for row in defect_rows(entry, self.run_id)])
            note_recorded(self.connection, self.run_id, (place_of(entry.verdict) for entry in entries))
        why = "another verdict is on record for this frame"
        return Written(new, tuple(Refused(entry.verdict, why) for entry in contradicted))

    def progress(self) -> Progress:
        """Return how far the run's log is recorded."""
        with self.connection.begin():
            return read_progress(self.connection, self.run_id)

    def _contradicted(self, entries: Sequence[Entry], frames: Sequence[Row]) -> list[Entry]:
        """Entries whose frame is recorded with another verdict; the same verdict written again is not one of them.

        Frames with the same number but neither ingest nor capture time cannot be told apart; all but the first are
        included.
        """
        first = {_key(row): at for at, row in reversed(list(enumerate(frames)))}
        recorded: dict[tuple[Any, ...], Any] = {}
        for camera in {row["camera"] for row in frames}:
            numbers = sorted({row["frame_id"] for row in frames if row["camera"] == camera})
            query = select(VERDICTS).where(
                VERDICTS.c.run_id == self.run_id, VERDICTS.c.camera == camera, VERDICTS.c.frame_id.in_(numbers)
            )
            for found in self.connection.execute(query).mappings():
                recorded[_key(found)] = found

        def contradicted(at: int, row: Row) -> bool:
            found = recorded[_key(row)]
            if any(found[name] != value for name, value in row.items() if name != "recorded_ns"):
                return True
            nameless = not row["ingest_epoch"]
            return nameless and (first[_key(row)] != at or found["recorded_ns"] != row["recorded_ns"])

        return [entry for at, entry in enumerate(entries) if contradicted(at, frames[at])]

    def _identity(self, table: Table, identity: str) -> int:
        """Return the id of a recipe or an engine; adds it at its first verdict."""
        key = (table.name, identity)
        if key not in self._identities:
            # A separate transaction, so that a later rollback does not invalidate a remembered id.
            with self.connection.begin():
                self.connection.execute(insert_new(self.connection, table).values(identity=identity))
                found = select(table.c.id).where(table.c.identity == identity)
                made: int = self.connection.execute(found).scalar_one()
            self._identities[key] = made
        return self._identities[key]


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Split entries into batches of one transaction."""
    iterator = iter(entries)
    while batch := list(islice(iterator, BATCH_VERDICTS)):
        yield batch


def _key(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in FRAME_KEY)
