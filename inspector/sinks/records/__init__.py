"""Records: verdicts in a database, for those who ask about a coil weeks later."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.config import LoadedConfig
from inspector.sinks.records.libraries import needs_extra
from inspector.sinks.verdict_log import VERDICTS_NAME

if TYPE_CHECKING:
    from inspector.sinks.records.writer import Records

LOOK_BACK_LOGS: Final = 4
"""Full logs that a restarted decide looks through for what was not recorded."""


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
    return Records(str(settings.url), run, _logs(out), out / pictures, keep)


def _logs(out: Path) -> list[Path]:
    """The run's verdict logs, the newest last: a service begins a new one when one is full."""
    return [*sorted(out.glob("verdicts-*.jsonl"))[-LOOK_BACK_LOGS:], out / VERDICTS_NAME]


__all__ = ["open_records"]
