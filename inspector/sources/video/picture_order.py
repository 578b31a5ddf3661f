"""Picture positions from H.264 and H.265 packets: a missing frame leaves a gap in these numbers.

Time stamps alone cannot distinguish lost frames from a pause of the camera. Both codecs number their pictures:
H.264 counts reference frames (frame_num, ITU-T H.264 7.4.3), both count the display order (ITU-T H.264 8.2.1,
H.265 8.3.1).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """The position of one picture."""

    sequence: int
    """Number of the sequence. A new sequence begins where encoder and decoder discard all earlier pictures;
    `shown` restarts there."""
    shown: int | None
    """Display order in the sequence; None when the stream does not state it."""
    modulus: int
    """Modulus of the picture numbers: losing a multiple of it leaves no gap."""
    lost: int
    """Reference frames missing directly before this packet."""
    begins: bool
    """Whether a refresh begins here. A decoder that starts here reaches correct pictures, at once for a key
    frame."""
    clean_from: int | None
    """Number of the packet at which the refresh began that this picture completes; for a key frame its own number.
    Damage before that packet is over."""
    shows_losses: bool
    """Whether a missing reference frame is detected, by `lost` or by the decoder."""
    counts_all: bool
    """Whether every missing frame leaves a gap in `shown` or in `lost`."""


class OrderReader(Protocol):
    """Reads packets in stream order."""

    def read(self, packet: bytes, number: int) -> Order | None:
        """Return the position of the packet's picture; None for a packet without a picture.

        Raises ValueError when the headers are unreadable.
        """
        ...


class DisplayCount:
    """Extends the display-order bits of a slice header to full numbers (H.264 8.2.1.1, H.265 8.3.1)."""

    def __init__(self) -> None:
        self._high = self._low = 0

    def restart(self) -> None:
        """Begin a new sequence."""
        self._high = self._low = 0

    def extend(self, low: int, modulus: int, *, is_anchor: bool) -> int:
        """Return the full number; after an anchor the next number counts from this picture."""
        high = self._high
        if low < self._low and self._low - low >= modulus // 2:
            high += modulus
        elif low > self._low and low - self._low > modulus // 2:
            high -= modulus
        if is_anchor:
            self._high, self._low = high, low
        return high + low
