"""One connection of the writer: verdicts into the tables, each frame once however often it is written."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Table, select, update

from inspector.sinks.records.database import Insertion, insert_new
from inspector.sinks.records.rows import Entry, Run, defect_rows, frame_row
from inspector.sinks.records.schema import DEFECTS, ENGINES, RECIPES, RUNS, VERDICTS

FrameKey = tuple[str, int, int]
"""Camera, captured_ns, frame_id."""


class Session:
    """Writes one run's verdicts over one connection; every method raises DBAPIError."""

    def __init__(self, connection: Connection, run: Run) -> None:
        self.connection = connection
        self._frames = Insertion(connection, VERDICTS)
        self._defects = Insertion(connection, DEFECTS)
        self._identities: dict[tuple[str, str], int] = {}
        with connection.begin():
            row = {"line": run.line, "host": run.host, "folder": str(run.folder)}
            connection.execute(insert_new(connection, RUNS).values(key=run.key, started_ns=time.time_ns(), **row))
            # A config that was changed between two starts, or a folder that was moved.
            connection.execute(update(RUNS).where(RUNS.c.key == run.key).values(**row))
            self.run_id: int = connection.execute(select(RUNS.c.id).where(RUNS.c.key == run.key)).scalar_one()

    def write(self, entries: Sequence[Entry]) -> None:
        """Write in one transaction; frames that are there already are left alone."""
        frames = [
            frame_row(
                entry,
                self.run_id,
                self._identity(RECIPES, entry.verdict.recipe),
                self._identity(ENGINES, entry.verdict.engine),
            )
            for entry in entries
        ]
        defects = [row for entry in entries for row in defect_rows(entry, self.run_id)]
        with self.connection.begin():
            self._frames.write(frames)
            self._defects.write(defects)

    def last_recorded(self) -> FrameKey | None:
        """The frame of the run that was recorded last."""
        columns = (VERDICTS.c.camera, VERDICTS.c.captured_ns, VERDICTS.c.frame_id)
        of_this_run = select(*columns).where(VERDICTS.c.run_id == self.run_id)
        with self.connection.begin():
            row = self.connection.execute(of_this_run.order_by(VERDICTS.c.id.desc()).limit(1)).first()
        return None if row is None else (row.camera, row.captured_ns, row.frame_id)

    def _identity(self, table: Table, identity: str) -> int:
        """The id of a recipe or an engine, which is made at its first verdict."""
        key = (table.name, identity)
        if key not in self._identities:
            # A transaction of its own: an id must not be remembered that a later rollback takes away.
            with self.connection.begin():
                self.connection.execute(insert_new(self.connection, table).values(identity=identity))
                found = select(table.c.id).where(table.c.identity == identity)
                made: int = self.connection.execute(found).scalar_one()
            self._identities[key] = made
        return self._identities[key]
