"""Opens the streams that a line has."""

from contextlib import ExitStack
from pathlib import Path

from inspector.config.line import LoadedConfig
from inspector.outbound.coils import Coils
from inspector.outbound.feed import Feed
from inspector.outbound.frames import Frames
from inspector.outbound.health import Health
from inspector.outbound.stream import Stream


def open_feed(config: LoadedConfig, folder: Path, stack: ExitStack) -> Feed:
    """Open what the line tells, with the position in `folder`; `stack` closes it. Raises InputError, OSError."""
    line = config.line
    frames = Frames(line.sinks.out)
    stack.callback(frames.close)
    streams: list[Stream] = []
    if line.health is not None:
        health = Health(folder, line.health.port)
        streams.append(health)
        health.start()
        stack.callback(health.stop)
    if line.strip is not None:
        streams.append(Coils(line.strip.folder))
    # The frames last: a long way to catch up does not hold back the others.
    return Feed(folder, [*streams, frames])
