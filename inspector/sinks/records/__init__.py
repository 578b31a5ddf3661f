"""Records: verdicts in a database, for those who ask about a coil weeks later."""

from typing import TYPE_CHECKING

from inspector.config import LoadedConfig
from inspector.sinks.records.libraries import needs_extra
from inspector.sinks.verdict_log import VERDICTS_NAME

if TYPE_CHECKING:
    from inspector.sinks.records.writer import Records


def open_records(config: LoadedConfig) -> "Records | None":
    """The sink of records where the config asks for one. Raises InputError, as `Records` does."""
    settings, out = config.line.records, config.line.sinks.out
    if not settings.enabled:
        return None
    with needs_extra("records"):
        from inspector.sinks.records.rows import identify_run
        from inspector.sinks.records.writer import Records
    return Records(str(settings.url), identify_run(out, config.identity), out / VERDICTS_NAME)


__all__ = ["open_records"]
