"""Measures how many frames a second a camera really gives."""

from typing import Final

_WINDOW_S: Final = 5.0
"""Long enough that a burst or a pause of a network changes the figure little."""

_OFF_SHARE: Final = 0.1
"""A rate is wrong that differs by more: crystals differ by 0.01 %, and frames are counted in whole ones."""


class Rate:
    """Frames a second over the last whole window; all times are seconds of one monotonic clock."""

    def __init__(self, stated: float) -> None:
        self._stated = stated
        self._since_s: float | None = None
        self._frames = 0
        self.measured: float | None = None
        """None up to the end of the first window."""

    def restart(self) -> None:
        """A gap: what came before it does not count."""
        self._since_s = None

    def frame(self, now_s: float) -> bool:
        """A frame came. Returns whether a window has ended in which the rate was not as stated."""
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
