"""Converts the time stamps of a camera's own clock to this PC's clock."""

from typing import Final

_WINDOW_NS: Final = 10_000_000_000
"""Length of one of the two windows that the shortest delay is taken from: crystals drift by at most 1 ms in it."""

_STEP_NS: Final = 1_000_000
"""Smallest change of this PC's clock that counts as a step: no clock is slewed so far between two frames."""


class CameraClock:
    """Finds the offset of two clocks from the frame with the shortest delay.

    A frame's arrival minus its time stamp is the offset plus the frame's delay. The smallest difference of the
    last 10 to 20 seconds is the offset plus the shortest delay, which is well below a millisecond. The offset is
    that of the monotonic clock, so that a PC whose clock is set moves no frame.
    """

    def __init__(self) -> None:
        self._began_ns = 0
        self._offset_ns: int | None = None
        self._before_ns: int | None = None
        self._ahead_ns: int | None = None

    def on_pc_ns(self, camera_ns: int, arrived_ns: int, ahead_ns: int) -> int:
        """Return when a frame was captured, ns since 1970.

        `arrived_ns` is when its first packet arrived, ns since 1970; `ahead_ns` is how far that clock is ahead of
        the monotonic one.
        """
        before_ns, self._ahead_ns = self._ahead_ns, ahead_ns
        # The clock may have been set after this frame arrived: its arrival says nothing then.
        is_set = before_ns is not None and abs(ahead_ns - before_ns) > _STEP_NS
        if self._offset_ns is None or not is_set:
            self._learn(camera_ns, arrived_ns - ahead_ns)
        offset_ns = self._offset_ns or 0
        if self._before_ns is not None:
            offset_ns = min(offset_ns, self._before_ns)
        return camera_ns + offset_ns + ahead_ns

    def _learn(self, camera_ns: int, arrived_ns: int) -> None:
        """Take one more arrival, monotonic clock."""
        offset_ns = arrived_ns - camera_ns
        if self._offset_ns is None or not 0 <= arrived_ns - self._began_ns < _WINDOW_NS:
            self._before_ns, self._offset_ns, self._began_ns = self._offset_ns, offset_ns, arrived_ns
        self._offset_ns = min(self._offset_ns, offset_ns)
