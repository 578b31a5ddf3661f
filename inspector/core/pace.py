"""Compares how often a camera gives frames with its stated rate.

Strip positions are derived from the frame count. A free-running camera that gives half of its stated rate, or that
loses a few frames at a time, halves or shifts them, although each frame that arrives is inspected.
"""

from typing import Final

WINDOW_NS: Final = 5_000_000_000
"""Length of one comparison, ns. Frames that the network delays arrive within it."""

OFF_SHARE: Final = 0.02
"""Accepted difference in one window, as a share of its frames. 29.97 frames/s that are stated as 30 differ by
0.1 %, crystals by 0.01 %."""

OFF_FRAMES: Final = 2.0
"""Accepted difference in one window, frames: a frame may fall on either side of a window's border."""


class Pace:
    """Counts the frames that a camera gave too few or too many. All times are ns of one monotonic clock.

    The camera's debt is time × stated rate − frames given. A delay raises it until the delayed frames arrive; a
    lost frame raises it for good. So the smallest debt of a window counts the lost frames and ignores delays.
    """

    def __init__(self, stated_per_s: float) -> None:
        self.stated_per_s = stated_per_s
        self.missing = 0.0
        """Frames that the camera should have given in all windows with too few."""
        self.measured_per_s: float | None = None
        """Frames per second of the last window; None until the first one ends."""
        self.wrong_ns: int | None = None
        """End of the last window whose rate was wrong."""
        self._per_ns = stated_per_s / 1e9
        self.restart()

    def restart(self) -> None:
        """Forget the current window: another ingest counts from here on."""
        self._since_ns: int | None = None
        self._before: float | None = None

    def frame(self, captured_ns: int) -> None:
        """Count a frame, or one that the source reports as lost."""
        if self._since_ns is None:
            self._since_ns = self._window_ns = captured_ns
            self._frames, self._window_frames, self._least = 0, 0, 0.0
            return
        self._frames += 1
        debt = (captured_ns - self._since_ns) * self._per_ns - self._frames
        self._least = min(self._least, debt)
        if captured_ns - self._window_ns >= WINDOW_NS:
            self._close(captured_ns, debt)

    def _close(self, now_ns: int, debt: float) -> None:
        passed_ns = now_ns - self._window_ns
        self.measured_per_s = (self._frames - self._window_frames) * 1e9 / passed_ns
        if self._before is not None:
            off = self._least - self._before
            if abs(off) > max(OFF_FRAMES, OFF_SHARE * passed_ns * self._per_ns):
                self.wrong_ns = now_ns
                self.missing += max(0.0, off)
        self._before = self._least
        self._window_ns, self._window_frames, self._least = now_ns, self._frames, debt
