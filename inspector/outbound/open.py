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
    """Start to ask decide for the line's health; None for a line without a [health] table. Raises OSError."""
    if config.line.health is None:
        return None
    health = Health(folder, config.line.health.port)
    health.start()
    stack.callback(health.stop)
    return health


def open_feed(config: LoadedConfig, folder: Path, stack: ExitStack, health: Health | None) -> Feed:
    """Open all streams of the line, which `stack` closes; `folder` has the cursor. Raises InputError, OSError."""
    frames = Frames(config.line.sinks.out)
    stack.callback(frames.close)
    streams: list[Stream] = [] if health is None else [health]
    if config.line.strip is not None:
        streams.append(Coils(config.line.strip.folder))
    # Frames come last: a long backlog of theirs must not delay the others.
    return Feed(folder, [*streams, frames])
