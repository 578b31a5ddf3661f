"""Converts the time stamps of a camera's own clock to this PC's clock."""

from typing import Final

_WINDOW_NS: Final = 10_000_000_000
"""Length of one of the two windows that the shortest delay is taken from: crystals drift by at most 1 ms in it."""


class CameraClock:
    """Finds the offset of two clocks from the frame with the shortest delay.

    A frame's arrival minus its time stamp is the offset plus the frame's delay. The smallest difference of the
    last 10 to 20 seconds is the offset plus the shortest delay, which is well below a millisecond.
    """

    def __init__(self) -> None:
        self._began_ns = 0
        self._offset_ns: int | None = None
        self._before_ns: int | None = None

    def on_pc_ns(self, camera_ns: int, arrived_ns: int) -> int:
        """Return when a frame was captured, on this PC's clock; `arrived_ns` is when its first packet arrived."""
        offset_ns = arrived_ns - camera_ns
        if self._offset_ns is None or not 0 <= arrived_ns - self._began_ns < _WINDOW_NS:
            self._before_ns, self._offset_ns, self._began_ns = self._offset_ns, offset_ns, arrived_ns
        self._offset_ns = min(self._offset_ns, offset_ns)
        return camera_ns + (self._offset_ns if self._before_ns is None else min(self._offset_ns, self._before_ns))
