"""The strip's position from the encoder counts that one camera's frames carry."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from inspector.core.strip.odometer import Reading
from inspector.wire.encoder_count import read_count

POLL_S: Final = 0.005
"""How often to look for a newer count, seconds: a frame of a fast line takes 6 ms."""

WAIT_S: Final = 0.2
"""Longest time without an answer to the thread, seconds, so that a stop is noticed."""

STANDSTILL_S: Final = 0.5
"""A camera that the encoder triggers gives no frame for this long when the strip stands."""


class CameraSource:
    """Follows the file that the camera's ingest writes."""

    def __init__(self, links: Path, *, triggered: bool) -> None:
        """`triggered`: the encoder triggers the camera, so silence means that the strip stands."""
        self._links, self._triggered = links, triggered

    def readings(self) -> Iterator[Reading | None]:
        """Yield a reading per new count. An old record from before a restart of the PC is not taken."""
        before_ns, said_s, moved_s = 0, time.monotonic(), time.monotonic()
        count: float | None = None
        while True:
            found, now_s = read_count(self._links), time.monotonic()
            if found is not None and before_ns < found.monotonic_ns <= time.monotonic_ns():
                before_ns, count, said_s, moved_s = found.monotonic_ns, float(found.counted), now_s, now_s
                yield Reading(found.monotonic_ns, count, None)
            elif now_s - said_s >= WAIT_S:
                said_s = now_s
                stands = self._triggered and count is not None and now_s - moved_s >= STANDSTILL_S
                yield Reading(time.monotonic_ns(), count, 0.0) if stands else None
            time.sleep(POLL_S)

    def close(self) -> None:
        """Nothing stays open."""
