"""Opens the streams that a line has."""

from contextlib import ExitStack
from pathlib import Path

from inspector.config.line import LoadedConfig
from inspector.outbound.coils import Coils
from inspector.outbound.feed import Feed
from inspector.outbound.frames import Frames
from inspector.outbound.health import Health
from inspector.outbound.stream import Stream


def open_health(config: LoadedConfig, folder: Path, stack: ExitStack) -> Health | None:
    """Begin to ask decide for the line's health; None for a line without a [health] table. Raises OSError."""
    if config.line.health is None:
        return None
    health = Health(folder, config.line.health.port)
    health.start()
    stack.callback(health.stop)
    return health


def open_feed(config: LoadedConfig, folder: Path, stack: ExitStack, health: Health | None) -> Feed:
    """Open what the line tells, with the position in `folder`; `stack` closes it. Raises InputError, OSError."""
    frames = Frames(config.line.sinks.out)
    stack.callback(frames.close)
    streams: list[Stream] = [] if health is None else [health]
    if config.line.strip is not None:
        streams.append(Coils(config.line.strip.folder))
    # The frames last: a long way to catch up does not hold back the others.
    return Feed(folder, [*streams, frames])
