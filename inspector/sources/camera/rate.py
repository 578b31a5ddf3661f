"""Measures the frame rate of a camera."""

from typing import Final

_WINDOW_S: Final = 5.0
"""Length of the measurement, seconds: a burst or a pause of the network then changes the result little."""

_OFF_SHARE: Final = 0.1
"""Largest accepted deviation from the stated rate, as a share. Crystals differ by 0.01 %; counting whole frames
adds rounding."""


class Rate:
    """Frames per second over the last complete window; all times are seconds of one monotonic clock."""

    def __init__(self, stated: float) -> None:
        self._stated = stated
        self._since_s: float | None = None
        self._frames = 0
        self.measured: float | None = None
        """Frames per second; None until the first window ends."""

    def restart(self) -> None:
        """Discard the current window after a gap."""
        self._since_s = None

    def frame(self, now_s: float) -> bool:
        """Count a frame; returns whether a window has just ended with a rate that differs from the stated one."""
        if self._since_s is None:
            self._since_s, self._frames = now_s, 0
            return False
        self._frames += 1
        passed_s = now_s - self._since_s
        if passed_s < _WINDOW_S:
            return False
        self.measured = self._frames / passed_s
        self._since_s, self._frames = now_s, 0
        return abs(self.measured - self._stated) > _OFF_SHARE * self._stated
