"""Credit-based flow control: how many frames a worker holds, and how many travel in one message.

A worker grants credit: the frames of one camera that it can take. Ingest sends no more than that, so a frame
never waits where it cannot be shed, and a worker can leave without losing one. Frames, credit, results and
announcements travel in chunks: each message costs more than a frame's place in it, and each wake of a process pays
for cold caches.
"""

from typing import Final

CHUNK_FRAMES: Final = 16
"""Most frames in a chunk. 16 instead of 8 took a fifth off what ingest and decide need per frame; beyond one
batch, more would only wait longer."""

CHUNK_S: Final = 0.05
CHUNK_SHARE: Final = 0.1
"""Longest time over which a chunk is collected, and the same as a share of the deadline."""

RECORDING_CHUNK_S: Final = 0.004
"""How long frames of a recording wait for each other: a chunk at the speed of an instant engine takes 3 ms."""

HELD_SHARE: Final = 0.5
"""Share of the deadline that the frames a worker holds may take its engine. A frame that waits longer is lost as
soon as anything else takes time."""

LEAST_HELD: Final = 2
"""One frame in the engine and one behind it, however slow the engine is."""

COALESCE_CHUNKS: Final = 1.5
"""Chunk times that announcements may wait for the next results message; results arrive one chunk time apart."""


def chunk_s(deadline_s: float) -> float:
    """Time over which a chunk is collected, seconds: the shorter of CHUNK_S and a share of the deadline."""
    return min(CHUNK_S, CHUNK_SHARE * deadline_s)


def coalesce_ms(deadline_s: float) -> int:
    """How long announcements may wait for the next results message."""
    return int(1e3 * COALESCE_CHUNKS * chunk_s(deadline_s))


def window_frames(
    batch: int, slots: int, seconds_a_frame: float, deadline_s: float, cameras: int = 1
) -> tuple[int, int]:
    """(credit of one camera, frames per chunk) of an engine that takes `slots` batches of `batch` frames."""
    seconds_a_frame = max(seconds_a_frame, 1e-9)
    chunk = max(batch, min(CHUNK_FRAMES, int(chunk_s(deadline_s) / seconds_a_frame)))
    in_time = int(HELD_SHARE * deadline_s / seconds_a_frame) // cameras
    window = max(LEAST_HELD, min(batch * slots + 2 * chunk, in_time))
    return window, min(chunk, window // 2)
