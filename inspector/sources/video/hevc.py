"""Reads picture positions from H.265 packets (ITU-T H.265, clauses 7.3 and 8.3)."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from inspector.sources.video.bits import BitReader
from inspector.sources.video.nal_units import UnitFormat
from inspector.sources.video.picture_order import DisplayCount, Order

_SPS: Final = 33
_PPS: Final = 34
_FIRST_OTHER: Final = 32
"""Lowest type of NAL units that are not slices."""

_IRAP: Final = range(16, 24)
"""Intra random access pictures."""
_BLA: Final = range(16, 19)
_IDR: Final = (19, 20)
_LEADING: Final = range(6, 10)
"""RADL and RASL pictures."""
_LAST_SUBLAYER_KIND: Final = 14
"""Highest type for which even numbers mean: no reference for pictures of the same sub-layer."""

_YUV444: Final = 3
_PROFILE_BITS: Final = 88
_LEVEL_BITS: Final = 8
_MOST_SUBLAYERS: Final = 8


@dataclass(frozen=True, slots=True)
class _Sps:
    shown_bits: int
    separate_planes: bool


@dataclass(frozen=True, slots=True)
class _Pps:
    sps: int
    has_output_flag: bool
    extra_bits: int


class HevcOrder:
    """Tracks the display order.

    The decoder reports missing references itself, because each packet lists all of them.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._format = UnitFormat(extradata, hevc=True)
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}
        self._display = DisplayCount()
        self._sequence = 0
        for unit in self._format.parameter_sets:
            with suppress(ValueError):  # a picture that needs this set reports that it is missing
                self._learn(unit)

    def read(self, packet: bytes, number: int) -> Order | None:
        """Return the position of the packet's picture; None for a packet without a picture.

        Raises ValueError for unreadable headers.
        """
        for unit in self._format.units(packet):
            if len(unit) < 2:
                continue
            if (unit[0] >> 1) & 0x3F < _FIRST_OTHER:
                return self._slice(unit, number)
            self._learn(unit)
        return None

    def _learn(self, unit: bytes) -> None:
        kind = (unit[0] >> 1) & 0x3F
        bits = BitReader(unit[2:])
        if kind == _SPS:
            identity, sps = _read_sps(bits)
            self._sps[identity] = sps
        elif kind == _PPS:
            identity = bits.ue()
            sps_identity = bits.ue()
            bits.u(1)
            has_output_flag = bool(bits.u(1))
            self._pps[identity] = _Pps(sps_identity, has_output_flag, bits.u(3))

    def _slice(self, unit: bytes, number: int) -> Order:
        kind = (unit[0] >> 1) & 0x3F
        is_base = unit[1] & 7 == 1
        bits = BitReader(unit[2:64])
        if not bits.u(1):
            raise ValueError("the picture's first slice is missing")
        is_irap = kind in _IRAP
        if is_irap:
            bits.u(1)
        pps = self._pps.get(bits.ue())
        sps = None if pps is None else self._sps.get(pps.sps)
        if pps is None or sps is None:
            raise ValueError("the picture's parameter sets are missing")
        bits.u(pps.extra_bits)
        bits.ue()  # slice_type
        if pps.has_output_flag:
            bits.u(1)
        if sps.separate_planes:
            bits.u(2)
        modulus = 1 << sps.shown_bits
        low = 0 if kind in _IDR else bits.u(sps.shown_bits)
        if kind in _IDR or kind in _BLA:
            self._sequence += 1
            self._display.restart()
        is_anchor = is_base and kind not in _LEADING and (kind > _LAST_SUBLAYER_KIND or kind % 2 == 1)
        shown = self._display.extend(low, modulus, is_anchor=is_anchor)
        return Order(
            self._sequence,
            shown,
            modulus,
            0,
            is_irap,
            number if is_irap else None,
            shows_losses=True,
            counts_all=True,
        )


def _read_sps(bits: BitReader) -> tuple[int, _Sps]:
    bits.u(4)
    sublayers = bits.u(3)
    bits.u(1)
    bits.u(_PROFILE_BITS + _LEVEL_BITS)
    if sublayers:
        present = [(bits.u(1), bits.u(1)) for _ in range(sublayers)]
        for _ in range(sublayers, _MOST_SUBLAYERS):
            bits.u(2)
        for has_profile, has_level in present:
            bits.u(_PROFILE_BITS * has_profile + _LEVEL_BITS * has_level)
    identity = bits.ue()
    separate_planes = bits.ue() == _YUV444 and bool(bits.u(1))
    bits.ue()  # size
    bits.ue()
    if bits.u(1):
        for _ in range(4):  # conformance window
            bits.ue()
    bits.ue()  # bit depths
    bits.ue()
    return identity, _Sps(bits.ue() + 4, separate_planes)
