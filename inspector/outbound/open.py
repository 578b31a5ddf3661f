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
    """Open all streams of the line, which `stack` closes; `folder` has the cursor. Raises InputError, OSError."""
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
    # Frames come last: a long backlog of theirs must not delay the others.
    return Feed(folder, [*streams, frames])
