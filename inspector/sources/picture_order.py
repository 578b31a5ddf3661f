"""What a packet of H.264 or H.265 says of its place: a frame that is missing leaves a gap in these numbers.

Time stamps alone cannot tell lost frames from a camera that paused. Both codecs number their pictures: H.264
counts reference frames (frame_num, ITU-T H.264 7.4.3), both count the order of display (ITU-T H.264 8.2.1, H.265
8.3.1).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """The place of one picture."""

    sequence: int
    """Counts the pictures at which both sides forget everything before; `shown` counts from each of them."""
    shown: int | None
    """Order of display in the sequence; None where the stream does not say it."""
    modulus: int
    """Reference frames are numbered up to a multiple of this: so many that are lost leave no gap."""
    lost: int
    """Reference frames that are missing right before this packet."""
    begins: bool
    """A refresh begins here: a decoder that knows nothing before it will get there, at once with a key frame."""
    clean_from: int | None
    """Number of the packet at which the refresh began that is complete with this picture, its own for a key frame:
    damage before that packet is over."""
    shows_losses: bool
    """A missing reference frame is noticed, by `lost` or by the decoder."""
    counts_all: bool
    """Every frame that is missing leaves a gap in `shown` or in `lost`."""


class OrderReader(Protocol):
    """Reads packets in the order of the stream."""

    def read(self, packet: bytes, number: int) -> Order | None:
        """The place of the packet's picture; None for a packet without one.

        Raises ValueError where the headers cannot be read.
        """
        ...


class DisplayCount:
    """Extends the low bits of the order of display that a slice header holds (H.264 8.2.1.1, H.265 8.3.1)."""

    def __init__(self) -> None:
        self._high = self._low = 0

    def restart(self) -> None:
        """A new sequence begins."""
        self._high = self._low = 0

    def extend(self, low: int, modulus: int, *, is_anchor: bool) -> int:
        """The whole number; `is_anchor`: the next one is counted from this picture."""
        high = self._high
        if low < self._low and self._low - low >= modulus // 2:
            high += modulus
        elif low > self._low and low - self._low > modulus // 2:
            high -= modulus
        if is_anchor:
            self._high, self._low = high, low
        return high + low
