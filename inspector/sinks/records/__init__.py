"""Records: verdicts in a database, for questions about a coil weeks later."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.config.line import LineConfig, LoadedConfig
from inspector.errors import ConfigError
from inspector.extras import needs_extra
from inspector.results import VERDICTS_NAME

if TYPE_CHECKING:
    from inspector.sinks.records.writer import Records

LOOK_BACK_LOGS: Final = 4
"""Most full logs searched for verdicts missing from the database, after a restart or if it was deleted."""


def open_records(config: LoadedConfig, pictures: str) -> "Records | None":
    """Return the records sink if the config enables it; `pictures` is the name of the picture folder.

    Raises InputError, as `Records` does, and ConfigError for a free-space limit that the disk can never meet.
    """
    settings, out = config.line.records, config.line.sinks.out
    if not settings.enabled:
        return None
    with needs_extra("records"):
        from inspector.sinks.records.retention import Keep
        from inspector.sinks.records.rows import identify_run
        from inspector.sinks.records.writer import Records
    _refuse_wrong_limits(config.line)
    run = identify_run(out, config.identity)
    keep = Keep(settings.keep_days, settings.least_free_gb)

    def newest_logs() -> list[Path]:
        return verdict_logs(out)[-LOOK_BACK_LOGS - 1 :]

    return Records(str(settings.url), run, newest_logs, out / pictures, keep)


def check_records(line: LineConfig) -> str:
    """Return what a start would find, changing nothing. Raises InputError if a start would be refused."""
    with needs_extra("records"):
        from sqlalchemy.exc import DatabaseError, DBAPIError

        from inspector.sinks.records.database import Database, reason
        from inspector.sinks.records.schema import NEWEST, refuse_newer
    database = Database(str(line.records.url))
    _refuse_wrong_limits(line)
    try:
        version = database.version()
    except DBAPIError as error:
        if type(error) is DatabaseError:  # the file is not a database: waiting does not help
            raise ConfigError(f"{database.shown}: {reason(error)}: name another one in records.url") from None
        # Not an error: a line starts without its records.
        return f"{database.shown} does not answer, records will wait: {reason(error)}"
    refuse_newer(version)
    if not version:
        return f"{database.shown}, no tables yet, the first start makes them"
    older = f", the next start brings it to {NEWEST}" if version < NEWEST else ""
    return f"{database.shown}, schema version {version}{older}"


def verdict_logs(folder: Path) -> list[Path]:
    """Return a run's verdict logs, newest last; a service rotates full ones."""
    full = sorted(folder.glob("verdicts-*.jsonl"), key=lambda path: (len(path.name), path.name))
    return [*full, folder / VERDICTS_NAME]


def _refuse_wrong_limits(line: LineConfig) -> None:
    from inspector.sinks.records.database import Database
    from inspector.sinks.records.free_space import refuse_more_than_the_disk

    file = Database(str(line.records.url)).file
    places = [line.sinks.out, *([file] if file is not None else [])]
    refuse_more_than_the_disk(line.records.least_free_gb, places)


__all__ = ["check_records", "open_records", "verdict_logs"]
