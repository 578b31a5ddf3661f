"""Imports a run's verdict logs into the database, for records that are missing there."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from inspector.errors import InputError, WorkError
from inspector.results import VERDICTS_NAME
from inspector.sinks.records import verdict_logs
from inspector.sinks.records.catch_up import EarlierVerdicts
from inspector.sinks.records.database import Database, reason
from inspector.sinks.records.rows import Entry, Run, identify_run
from inspector.sinks.records.schema import RUNS
from inspector.sinks.records.session import Session, batches


@dataclass(frozen=True, slots=True)
class Imported:
    """What happened to the verdicts in a run's logs."""

    read: int
    new: int
    """Were missing in the database and are now in it."""
    deleted: int
    """Left out, because retention deleted them or later ones."""
    refused: int
    first_refusal: str | None
    unreadable: int
    """Lines of the logs that are not verdicts."""

    def as_dict(self) -> dict[str, object]:
        """Return the counts for JSON output."""
        return asdict(self)


def import_run(database: Database, folder: Path, line: str) -> Imported:
    """Write the verdicts that the logs in `folder` have and the database lacks.

    `line` is the config's name and hash, for a run that the database does not know. Raises InputError for a folder
    without logs, WorkError if the database fails.
    """
    logs = [path for path in verdict_logs(folder) if path.is_file()]
    if not logs:
        raise InputError(f"{folder}: holds no {VERDICTS_NAME}: give the folder of a run")
    earlier = EarlierVerdicts(logs)
    try:
        with database.writing() as connection:
            return _import(connection, identify_run(folder.resolve(), line), earlier)
    except (DBAPIError, OSError) as error:
        said = reason(error) if isinstance(error, DBAPIError) else str(error)
        raise WorkError(f"{database.shown}: {folder} cannot be imported: {said}") from None
    finally:
        earlier.close()


def _import(connection: Connection, run: Run, earlier: EarlierVerdicts) -> Imported:
    session = Session(connection, _known(connection, run))
    considered = new = refused = 0
    first: str | None = None

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal considered
        for entry in entries:
            considered += 1
            yield entry

    for entries in batches(counted(earlier.not_deleted(session.progress(), time.time_ns()))):
        written = session.write(entries)
        new += written.new
        refused += len(written.refused)
        if written.refused and first is None:
            each = written.refused[0]
            first = f"{each.verdict.camera} frame {each.verdict.frame_id}: {each.why}"
    return Imported(earlier.read, new, earlier.read - considered, refused, first, earlier.unreadable)


def _known(connection: Connection, run: Run) -> Run:
    """Return the run as the database knows it, because an import may run on another PC."""
    query = select(RUNS.c.line, RUNS.c.host, RUNS.c.folder).where(RUNS.c.key == run.key)
    with connection.begin():
        row = connection.execute(query).first()
    return run if row is None else Run(run.key, row.line, row.host, Path(row.folder))
