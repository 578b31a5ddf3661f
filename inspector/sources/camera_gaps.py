"""How many frames a camera that went silent has cost; knows no camera and no clock."""

from typing import Final

_STALL_S: Final = 1.0
"""A connected camera that gives nothing for so long counts as a gap; shorter is network jitter."""

_STALL_FRAMES: Final = 3
"""The same for a slow camera: never less than so many frame times."""

_BACKLOG_SHARE: Final = 0.75
"""Frames that come closer together than this share of a frame time were held up on the way."""


class Gaps:
    """Counts the frames that a camera should have given and did not.

    A gap lasts from the last frame to the next one; silent for T seconds it has cost T × rate frames, rounded,
    less the frame that ends it, and at least one. All times are seconds of one monotonic clock.

    With `triggered`, an encoder on the strip triggers the camera: one that is connected and silent costs nothing,
    because the strip stands.
    """

    def __init__(self, frames_per_second: float, *, triggered: bool = False) -> None:
        self._rate = frames_per_second
        self._triggered = triggered
        self._stall_s = max(_STALL_S, _STALL_FRAMES / frames_per_second)
        self._last_s = 0.0
        self._any_frame = False
        self._failure: str | None = None
        self._said = 0

    def opened(self, now_s: float) -> None:
        """The camera is there; it may take its time up to the first frame."""
        self._last_s = now_s

    def failed(self, why: str, now_s: float) -> None:
        """The connection is lost, or could not be made again: a gap up to the next frame."""
        if self._failure is None and self._triggered:
            self._last_s = now_s
        self._failure = why

    def frame(self, now_s: float) -> tuple[int, str]:
        """A frame came. Returns how many missing ones were not said yet, and why; the gap is over."""
        unsaid = self.due(now_s)
        self._last_s = now_s
        self._any_frame = True
        self._failure = None
        self._said = 0
        return unsaid

    @property
    def said(self) -> int:
        """Frames that were said to be missing since the last one."""
        return self._said

    def due(self, now_s: float) -> tuple[int, str]:
        """How many missing frames to say now that were not said yet, and why."""
        silent_s = now_s - self._last_s
        stalled = self._any_frame and silent_s > self._stall_s and not self._triggered
        if self._failure is None and not stalled:
            return 0, ""
        missing = max(1, round(silent_s * self._rate) - 1)
        unsaid = max(0, missing - self._said)
        self._said += unsaid
        return unsaid, self._failure or f"silent for over {self._stall_s:g} s"


class Backlog:
    """Frames that were said to be missing and come after all, late and close together: each counts once.

    A stalled network delivers what it held up in a burst. The first frame after a gap is held until the next one
    shows which of the two it was: a backlog, of which the frames are counted already, or the present.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._within_s = _BACKLOG_SHARE / frames_per_second
        self._counted = 0
        self._last_s = 0.0

    def begin(self, counted: int) -> None:
        """A gap ends in which so many frames were said to be missing."""
        self._counted = counted

    @property
    def expects(self) -> bool:
        """The frame in hand may turn out to be counted already."""
        return self._counted > 0

    def lost(self) -> bool:
        """The stream skips a frame. Returns whether the gap has counted it."""
        is_counted = self._counted > 0
        self._counted -= is_counted
        return is_counted

    def held(self, now_s: float) -> None:
        """A frame is held from now on."""
        self._last_s = now_s

    def was_counted(self, now_s: float) -> bool:
        """Another frame has come: whether the held one was part of the backlog."""
        if now_s - self._last_s >= self._within_s:
            self._counted = 0
            return False
        self._counted -= 1
        return True

    def is_over(self, now_s: float) -> bool:
        """No other frame has come in time: the held one is of the present."""
        if now_s - self._last_s < self._within_s:
            return False
        self._counted = 0
        return True
