"""Reads picture positions from H.264 packets (ITU-T H.264, clauses 7.3 and 8.2)."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from inspector.sources.video.bits import BitReader
from inspector.sources.video.nal_units import UnitFormat
from inspector.sources.video.picture_order import DisplayCount, Order

_SLICE: Final = 1
_PARTITION_A: Final = 2
_IDR: Final = 5
_SEI: Final = 6
_SPS: Final = 7
_PPS: Final = 8

_RECOVERY_POINT: Final = 6
"""SEI payload type."""

_CHROMA_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose parameter sets describe the chroma format."""

_YUV444: Final = 3


@dataclass(frozen=True, slots=True)
class _Sps:
    frame_num_bits: int
    shown_bits: int | None
    """Low bits of the display order; None when the order follows from frame_num."""
    separate_planes: bool
    may_have_gaps: bool
    frames_only: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    kind: int
    is_reference: bool
    frame_num: int
    shown_low: int | None
    is_field: bool


class H264Order:
    """Tracks frame_num and the display order."""

    def __init__(self, extradata: bytes | None) -> None:
        self._format = UnitFormat(extradata, hevc=False)
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, int] = {}
        self._display = DisplayCount()
        self._sequence = 0
        self._last_reference: int | None = None
        """frame_num of the last reference frame."""
        self._was_field = False
        self._any_disposable = False
        """Whether some frames are not references; frame_num does not count those."""
        self._recovering: tuple[int, int] | None = None
        """The packet with the recovery point, and the frame_num at which pictures are correct."""
        for unit in self._format.parameter_sets:
            with suppress(ValueError):  # a picture that needs this set reports that it is missing
                self._learn(unit)

    def read(self, packet: bytes, number: int) -> Order | None:
        """Return the position of the packet's picture; None for a packet without a picture.

        Raises ValueError for unreadable headers.
        """
        recovery_frames = None
        for unit in self._format.units(packet):
            kind = unit[0] & 0x1F
            if kind == _SEI:
                found = _recovery_frames(unit[1:])
                recovery_frames = recovery_frames if found is None else found
            elif kind in {_SLICE, _PARTITION_A, _IDR}:
                sps, head = self._slice(unit)
                return self._place(sps, head, number, recovery_frames)
            else:
                self._learn(unit)
        return None

    def _learn(self, unit: bytes) -> None:
        kind = unit[0] & 0x1F
        if kind == _SPS:
            bits = BitReader(unit[1:])
            identity, sps = _read_sps(bits)
            self._sps[identity] = sps
        elif kind == _PPS:
            bits = BitReader(unit[1:])
            identity = bits.ue()
            self._pps[identity] = bits.ue()

    def _slice(self, unit: bytes) -> tuple[_Sps, _Slice]:
        kind = unit[0] & 0x1F
        bits = BitReader(unit[1:64])
        if bits.ue() != 0:  # first_mb_in_slice
            raise ValueError("the picture's first slice is missing")
        bits.ue()  # slice_type
        sps = self._sps.get(self._pps.get(bits.ue(), -1))
        if sps is None:
            raise ValueError("the picture's parameter sets are missing")
        if sps.separate_planes:
            bits.u(2)
        frame_num = bits.u(sps.frame_num_bits)
        is_field = not sps.frames_only and bool(bits.u(1))
        if is_field:
            bits.u(1)  # bottom_field_flag
        if kind == _IDR:
            bits.ue()  # idr_pic_id
        shown_low = None if sps.shown_bits is None else bits.u(sps.shown_bits)
        return sps, _Slice(kind, bool(unit[0] & 0x60), frame_num, shown_low, is_field)

    def _place(self, sps: _Sps, head: _Slice, number: int, recovery_frames: int | None) -> Order:
        frame_num_modulus = 1 << sps.frame_num_bits
        lost, clean_from = 0, None
        if head.kind == _IDR:
            self._sequence += 1
            self._display.restart()
            self._recovering = None
            clean_from = number
        else:
            if not sps.may_have_gaps:
                lost = self._missing(head, frame_num_modulus)
            if recovery_frames is not None:
                self._recovering = (number, (head.frame_num + recovery_frames) % frame_num_modulus)
            if self._recovering is not None and head.frame_num == self._recovering[1]:
                clean_from = self._recovering[0]
                self._recovering = None
        if head.is_reference:
            self._last_reference = head.frame_num
        else:
            self._any_disposable = True
        self._was_field = head.is_field
        shown = None
        if head.shown_low is not None and sps.shown_bits is not None:
            shown = self._display.extend(head.shown_low, 1 << sps.shown_bits, is_anchor=head.is_reference)
        begins = head.kind == _IDR or recovery_frames is not None
        shows_losses = not sps.may_have_gaps
        counts_all = shown is not None or (shows_losses and not self._any_disposable)
        return Order(self._sequence, shown, frame_num_modulus, lost, begins, clean_from, shows_losses, counts_all)

    def _missing(self, head: _Slice, modulus: int) -> int:
        """Return the number of reference frames missing between the last one and this picture."""
        if self._last_reference is None:
            return 0
        step = (head.frame_num - self._last_reference) % modulus
        if step == 0 and self._was_field and head.is_field:
            return 0  # the second field of one frame
        return (step - 1) % modulus


def _recovery_frames(unit: bytes) -> int | None:
    """Return after how many frames pictures are correct again, if the SEI message has a recovery point."""
    data = unit.replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 <= len(data) and data[at] != 0x80:
        values = []
        for _ in range(2):  # payload type and size; each is a run of 255s and a remainder
            value = 0
            while at < len(data) and data[at] == 0xFF:
                value += 255
                at += 1
            if at >= len(data):
                return None
            values.append(value + data[at])
            at += 1
        kind, size = values
        if kind == _RECOVERY_POINT:
            return BitReader(data[at : at + size]).ue()
        at += size
    return None


def _read_sps(bits: BitReader) -> tuple[int, _Sps]:
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    identity = bits.ue()
    separate_planes = False
    if profile in _CHROMA_PROFILES:
        chroma = bits.ue()
        separate_planes = chroma == _YUV444 and bool(bits.u(1))
        bits.ue()  # bit depths
        bits.ue()
        bits.u(1)
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma == _YUV444 else 8)
    frame_num_bits = bits.ue() + 4
    order_type = bits.ue()
    shown_bits = None
    if order_type == 0:
        shown_bits = bits.ue() + 4
    elif order_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()  # max_num_ref_frames
    may_have_gaps = bool(bits.u(1))
    bits.ue()  # size
    bits.ue()
    frames_only = bool(bits.u(1))
    return identity, _Sps(frame_num_bits, shown_bits, separate_planes, may_have_gaps, frames_only)


def _skip_scaling_lists(bits: BitReader, count: int) -> None:
    for index in range(count):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last
