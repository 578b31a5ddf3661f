"""Coils that an operator has marked, in the line's records."""

from collections.abc import Set as AbstractSet

import structlog
from sqlalchemy import and_, select

from inspector.config.line import LineConfig
from inspector.errors import ConfigError, WorkError
from inspector.sinks.records.database import Database
from inspector.sinks.records.schema import MARKS, VERDICTS

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
        with database.reading("the archive") as connection, connection.begin():
            found = set(connection.execute(select(MARKS.c.coil).where(MARKS.c.coil.is_not(None))).scalars())
            frames = select(VERDICTS.c.coil).join_from(MARKS, VERDICTS, of_frame)
            found |= {coil for coil in connection.execute(frames).scalars() if coil is not None}
    except ConfigError:
        return set()  # no tables yet, so no mark
    except WorkError as error:
        log.warning("archive: the marks cannot be read", error=str(error))
        return None
    return found
