"""Coils that an operator has marked, in the line's records; they may belong to another user, and are only read."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial

import structlog
from sqlalchemy import Connection, and_, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from inspector.config.line import LineConfig
from inspector.errors import InspectorError
from inspector.sinks.records.database import Database, reason
from inspector.sinks.records.read_only import open_read_only
from inspector.sinks.records.schema import MARKS, VERDICTS, stored_version

log = structlog.get_logger()


def marked_coils(line: LineConfig) -> AbstractSet[str] | None:
    """The marked coils, and those of marked frames; None if the database does not answer."""
    of_frame = and_(
        VERDICTS.c.run_id == MARKS.c.run_id,
        VERDICTS.c.camera == MARKS.c.camera,
        VERDICTS.c.frame_id == MARKS.c.frame_id,
    )
    database = Database(str(line.records.url))
    if database.file is not None and not database.file.exists():
        return set()
    try:
        with _reading(database) as connection, connection.begin():
            if not stored_version(connection):
                return set()  # no tables yet, so no mark
            found = set(connection.execute(select(MARKS.c.coil).where(MARKS.c.coil.is_not(None))).scalars())
            frames = select(VERDICTS.c.coil).join_from(MARKS, VERDICTS, of_frame)
            found |= {coil for coil in connection.execute(frames).scalars() if coil is not None}
    except (InspectorError, DBAPIError) as error:
        why = reason(error) if isinstance(error, DBAPIError) else str(error)
        log.warning("archive: the marks cannot be read", database=database.shown, error=why)
        return None
    return found


@contextmanager
def _reading(database: Database) -> Iterator[Connection]:
    if database.file is None:
        with database.reading("the archive") as connection:
            yield connection
        return
    engine = create_engine("sqlite://", creator=partial(open_read_only, database.file), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
