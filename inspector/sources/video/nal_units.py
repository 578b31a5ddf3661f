"""Splits H.264 and H.265 packets into NAL units, in both storage formats of containers."""

from collections.abc import Iterator
from typing import Final

LONGEST_HEADER_BYTES: Final = 1024
"""Bytes read of each NAL unit: slice headers have tens of bytes, parameter sets a few hundred."""

_AVCC_SIZE_AT: Final = 4
_AVCC_SETS_AT: Final = 5
_HVCC_SIZE_AT: Final = 21
_HVCC_SETS_AT: Final = 22


class UnitFormat:
    """How a stream stores NAL units: after start codes, or after their length (MP4, Matroska, FLV)."""

    def __init__(self, extradata: bytes | None, *, hevc: bool) -> None:
        data = extradata or b""
        self._length_bytes: int | None = None
        self.parameter_sets: list[bytes] = []
        """Parameter sets from the container's header."""
        if data[:1] != b"\1" or len(data) <= (_HVCC_SETS_AT if hevc else _AVCC_SETS_AT):
            self.parameter_sets = list(_behind_start_codes(data))
        elif hevc:
            self._length_bytes = (data[_HVCC_SIZE_AT] & 3) + 1
            self.parameter_sets = list(_hvcc_sets(data))
        else:
            self._length_bytes = (data[_AVCC_SIZE_AT] & 3) + 1
            self.parameter_sets = list(_avcc_sets(data))

    def units(self, packet: bytes) -> Iterator[bytes]:
        """Yield the first bytes of each NAL unit."""
        if self._length_bytes is None:
            yield from _behind_start_codes(packet)
            return
        at = 0
        while at + self._length_bytes < len(packet):
            length = int.from_bytes(packet[at : at + self._length_bytes], "big")
            at += self._length_bytes
            if length:
                yield packet[at : at + min(length, LONGEST_HEADER_BYTES)]
            at += length


def _behind_start_codes(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        start = at + 3
        at = data.find(b"\0\0\1", start)
        end = len(data) if at < 0 else at
        if end > start:
            yield data[start : min(end, start + LONGEST_HEADER_BYTES)]


def _avcc_sets(data: bytes) -> Iterator[bytes]:
    at = _AVCC_SETS_AT
    for mask in (0x1F, 0xFF):  # sequence parameter sets, then picture parameter sets
        if at >= len(data):
            return
        count = data[at] & mask
        at += 1
        for _ in range(count):
            if at + 2 >= len(data):
                return
            length = int.from_bytes(data[at : at + 2], "big")
            if length:
                yield data[at + 2 : at + 2 + length]
            at += 2 + length


def _hvcc_sets(data: bytes) -> Iterator[bytes]:
    at = _HVCC_SETS_AT + 1
    for _ in range(data[_HVCC_SETS_AT]):
        count = int.from_bytes(data[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            if at + 2 >= len(data):
                return
            length = int.from_bytes(data[at : at + 2], "big")
            if length:
                yield data[at + 2 : at + 2 + length]
            at += 2 + length
