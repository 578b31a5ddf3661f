"""Records: verdicts in a database, for those who ask about a coil weeks later."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.config import LoadedConfig
from inspector.errors import ConfigError
from inspector.extras import needs_extra
from inspector.sinks.verdict_log import VERDICTS_NAME

if TYPE_CHECKING:
    from inspector.sinks.records.writer import Records

LOOK_BACK_LOGS: Final = 4
"""Full logs that are looked through for what is not in the database: after a restart, or where it was deleted."""


def open_records(config: LoadedConfig, pictures: str) -> "Records | None":
    """The sink of records where the config asks for one; `pictures` is the name of a run's folder of them.

    Raises InputError, as `Records` does.
    """
    settings, out = config.line.records, config.line.sinks.out
    if not settings.enabled:
        return None
    with needs_extra("records"):
        from inspector.sinks.records.retention import Keep
        from inspector.sinks.records.rows import identify_run
        from inspector.sinks.records.writer import Records
    run = identify_run(out, config.identity)
    keep = Keep(settings.keep_days, settings.least_free_gb)
    return Records(str(settings.url), run, partial(_logs, out), out / pictures, keep)


def check_records(url: str) -> str:
    """What a start would find, changing nothing. Raises InputError where it would be refused."""
    with needs_extra("records"):
        from sqlalchemy.exc import DatabaseError, DBAPIError

        from inspector.sinks.records.database import Database, reason
        from inspector.sinks.records.schema import refuse_newer
    database = Database(url)
    try:
        version = database.version()
    except DBAPIError as error:
        if type(error) is DatabaseError:  # the file is something else: no waiting mends that
            raise ConfigError(f"{database.shown}: {reason(error)}: name another one in records.url") from None
        # No reason to refuse a start: a line is not held up by its records.
        return f"{database.shown} does not answer, records will wait: {reason(error)}"
    refuse_newer(version)
    found = f"schema version {version}" if version else "no tables yet, the first start makes them"
    return f"{database.shown}, {found}"


def _logs(out: Path) -> list[Path]:
    """The run's verdict logs, the newest last: a service begins a new one when one is full."""
    return [*sorted(out.glob("verdicts-*.jsonl"))[-LOOK_BACK_LOGS:], out / VERDICTS_NAME]


__all__ = ["check_records", "open_records"]
