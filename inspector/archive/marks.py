"""Coils that an operator has marked, in the line's records; they may belong to another user, and are only read."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, and_, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from inspector.archive.retention import Marks
from inspector.config.line import LineConfig
from inspector.errors import WorkError
from inspector.sinks.records.database import Database, reason
from inspector.sinks.records.read_only import open_read_only
from inspector.sinks.records.schema import MARKS, RUNS, VERDICTS, stored_version


def read_marks(line: LineConfig) -> Marks:
    """The marked coils, and those of marked frames. Raises InspectorError if the database does not answer."""
    of_frame = and_(
        VERDICTS.c.run_id == MARKS.c.run_id,
        VERDICTS.c.camera == MARKS.c.camera,
        VERDICTS.c.frame_id == MARKS.c.frame_id,
    )
    database = Database(str(line.records.url))
    if database.file is not None and not database.file.exists():
        return Marks(missing=str(database.file))
    try:
        with _reading(database) as connection, connection.begin():
            if not stored_version(connection):
                return Marks()
            first_run = connection.execute(select(RUNS.c.key).order_by(RUNS.c.id).limit(1)).scalar()
            found = set(connection.execute(select(MARKS.c.coil).where(MARKS.c.coil.is_not(None))).scalars())
            frames = select(VERDICTS.c.coil).join_from(MARKS, VERDICTS, of_frame)
            found |= {coil for coil in connection.execute(frames).scalars() if coil is not None}
    except DBAPIError as error:
        raise WorkError(f"{database.shown}: {reason(error)}") from None
    return Marks(first_run or "", frozenset(found))


@contextmanager
def _reading(database: Database) -> Iterator[Connection]:
    if database.file is None:
        with database.reading("the archive") as connection:
            yield connection
        return
    engine = create_engine("sqlite://", creator=partial(open_read_only, database.file), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
