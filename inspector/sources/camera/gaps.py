"""Counts the frames that a silent camera has cost, without access to a camera or a clock."""

from typing import Final

_STALL_S: Final = 1.0
"""Silence of a connected camera that counts as a gap, seconds; shorter silence is network jitter."""

_STALL_FRAMES: Final = 3
"""Silence that counts as a gap of a slow camera, in frame times."""

_BACKLOG_SHARE: Final = 0.75
"""Share of a frame time. Frames that arrive closer together were delayed on the way."""


class Gaps:
    """Counts the frames that a camera should have delivered and did not.

    A gap lasts from the last frame to the next one. After T seconds of silence it has cost T × rate frames,
    rounded, minus the frame that ends it, and at least one. All times are seconds of one monotonic clock.

    With `triggered`, an encoder on the strip triggers the camera. Silence of a connected camera then costs
    nothing, because the strip stands still.
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
        """Note that the camera is open; the time to the first frame is not limited."""
        self._last_s = now_s

    def failed(self, why: str, now_s: float) -> None:
        """Note that the connection is lost or could not be reopened; a gap lasts until the next frame."""
        if self._failure is None and self._triggered:
            self._last_s = now_s
        self._failure = why

    def frame(self, now_s: float) -> tuple[int, str]:
        """Note a frame, which ends the gap; returns the number of missing frames not yet reported, and why."""
        unsaid = self.due(now_s)
        self._last_s = now_s
        self._any_frame = True
        self._failure = None
        self._said = 0
        return unsaid

    @property
    def said(self) -> int:
        """Missing frames reported since the last frame."""
        return self._said

    def due(self, now_s: float) -> tuple[int, str]:
        """Return the number of missing frames to report now, without those already reported, and why."""
        silent_s = now_s - self._last_s
        stalled = self._any_frame and silent_s > self._stall_s and not self._triggered
        if self._failure is None and not stalled:
            return 0, ""
        missing = max(1, round(silent_s * self._rate) - 1)
        unsaid = max(0, missing - self._said)
        self._said += unsaid
        return unsaid, self._failure or f"silent for over {self._stall_s:g} s"


class Backlog:
    """Detects frames that were reported missing and then arrive late and close together; each counts once.

    A stalled network delivers the delayed frames in a burst. The caller holds the first frame after a gap until
    the next frame shows whether the held one is part of such a backlog, and so already counted, or a current
    frame.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._within_s = _BACKLOG_SHARE / frames_per_second
        self._counted = 0
        self._last_s = 0.0

    def begin(self, counted: int) -> None:
        """Note the end of a gap in which `counted` frames were reported missing."""
        self._counted = counted

    @property
    def expects(self) -> bool:
        """Whether the current frame may already be counted."""
        return self._counted > 0

    def lost(self) -> bool:
        """Note that the stream skips a frame; returns whether the gap has already counted it."""
        is_counted = self._counted > 0
        self._counted -= is_counted
        return is_counted

    def held(self, now_s: float) -> None:
        """Note that a frame is held from now on."""
        self._last_s = now_s

    def was_counted(self, now_s: float) -> bool:
        """Note another frame; returns whether the held one was part of the backlog."""
        if now_s - self._last_s >= self._within_s:
            self._counted = 0
            return False
        self._counted -= 1
        return True

    def is_over(self, now_s: float) -> bool:
        """Return whether no other frame arrived in time, which makes the held one a current frame."""
        if now_s - self._last_s < self._within_s:
            return False
        self._counted = 0
        return True
