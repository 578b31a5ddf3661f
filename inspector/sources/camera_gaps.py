"""How many frames a camera that went silent has cost; knows no camera and no clock."""

from typing import Final

_STALL_S: Final = 1.0
"""A connected camera that gives nothing for so long counts as a gap; shorter is network jitter."""

_STALL_FRAMES: Final = 3
"""The same for a slow camera: never less than so many frame times."""


class Gaps:
    """Counts the frames that a free-running camera should have given and did not.

    A gap lasts from the last frame to the next one; silent for T seconds it has cost T × rate frames, rounded,
    less the frame that ends it, and at least one. All times are seconds of one monotonic clock.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._rate = frames_per_second
        self._stall_s = max(_STALL_S, _STALL_FRAMES / frames_per_second)
        self._last_s = 0.0
        self._any_frame = False
        self._failure: str | None = None
        self._said = 0

    def opened(self, now_s: float) -> None:
        """The camera is there; it may take its time up to the first frame."""
        self._last_s = now_s

    def failed(self, why: str) -> None:
        """The connection is lost, or could not be made again: a gap up to the next frame."""
        self._failure = why

    def frame(self, now_s: float) -> tuple[int, str]:
        """A frame came. Returns how many missing ones were not said yet, and why; the gap is over."""
        unsaid = self.due(now_s)
        self._last_s = now_s
        self._any_frame = True
        self._failure = None
        self._said = 0
        return unsaid

    def due(self, now_s: float) -> tuple[int, str]:
        """How many missing frames to say now that were not said yet, and why."""
        silent_s = now_s - self._last_s
        stalled = self._any_frame and silent_s > self._stall_s
        if self._failure is None and not stalled:
            return 0, ""
        missing = max(1, round(silent_s * self._rate) - 1)
        unsaid = max(0, missing - self._said)
        self._said += unsaid
        return unsaid, self._failure or f"silent for {silent_s:.1f} s"
