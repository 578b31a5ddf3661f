"""GenICam's grey pixel formats (PFNC) as 8-bit pixels; packed formats are unpacked."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inspector.images import GreyWindow, through_window
from inspector.values import Pixels

Samples = NDArray[np.uint8] | NDArray[np.uint16]


class MonoFormat(NamedTuple):
    """How one pixel format stores grey samples."""

    bits: int
    """Significant bits of a sample."""
    row_bits: int
    """Bits that a sample takes in a buffer."""
    unpack: Callable[[NDArray[np.uint8]], Samples]
    """Bytes of whole groups of samples → samples."""


def _as_16_bit(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return data.view("<u2").astype(np.uint16, copy=False)


def _packed_10(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Unpack Mono10p: four samples in five bytes, least significant bits first."""
    groups = data.reshape(-1, 5).astype(np.uint16)
    samples = np.empty((len(groups), 4), np.uint16)
    for place in range(4):
        shift = 2 * place
        samples[:, place] = (groups[:, place] >> shift) | (groups[:, place + 1] << (8 - shift))
    samples &= 0x3FF
    return samples.reshape(-1)


def _packed_12(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Unpack Mono12p: two samples in three bytes, least significant bits first."""
    groups = data.reshape(-1, 3).astype(np.uint16)
    samples = np.empty((len(groups), 2), np.uint16)
    samples[:, 0] = groups[:, 0] | ((groups[:, 1] & 0xF) << 8)
    samples[:, 1] = (groups[:, 1] >> 4) | (groups[:, 2] << 4)
    return samples.reshape(-1)


def _gige_10(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Unpack GigE Vision 1's Mono10Packed: the upper bits of each sample in a byte, the lower bits between."""
    groups = data.reshape(-1, 3).astype(np.uint16)
    samples = np.empty((len(groups), 2), np.uint16)
    samples[:, 0] = (groups[:, 0] << 2) | (groups[:, 1] & 0x3)
    samples[:, 1] = (groups[:, 2] << 2) | ((groups[:, 1] >> 4) & 0x3)
    return samples.reshape(-1)


def _gige_12(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Unpack GigE Vision 1's Mono12Packed: the same layout with four lower bits each."""
    groups = data.reshape(-1, 3).astype(np.uint16)
    samples = np.empty((len(groups), 2), np.uint16)
    samples[:, 0] = (groups[:, 0] << 4) | (groups[:, 1] & 0xF)
    samples[:, 1] = (groups[:, 2] << 4) | (groups[:, 1] >> 4)
    return samples.reshape(-1)


FORMATS: Final = {
    0x01080001: MonoFormat(8, 8, lambda data: data),
    0x01100003: MonoFormat(10, 16, _as_16_bit),
    0x010A0046: MonoFormat(10, 10, _packed_10),
    0x010C0004: MonoFormat(10, 12, _gige_10),
    0x01100005: MonoFormat(12, 16, _as_16_bit),
    0x010C0047: MonoFormat(12, 12, _packed_12),
    0x010C0006: MonoFormat(12, 12, _gige_12),
    0x01100007: MonoFormat(16, 16, _as_16_bit),
}
"""By PFNC number: Mono8, Mono10, Mono10p, Mono10Packed, Mono12, Mono12p, Mono12Packed, Mono16."""

NAMES: Final = "Mono8, Mono10, Mono10p, Mono10Packed, Mono12, Mono12p, Mono12Packed or Mono16"

_GROUP_BYTES: Final = 15
"""Bytes that hold whole groups of samples in every format."""


class Grey:
    """Converts buffers of one size and format to uint8 [H, W]; deep formats go through `grey_window`."""

    def __init__(self, number: int, height: int, width: int, window: GreyWindow | None) -> None:
        """`number` is the format's PFNC number, a key of FORMATS."""
        self.format = FORMATS[number]
        self.height, self.width = height, width
        self.bytes = -(-height * width * self.format.row_bits // 8)
        """Bytes of a picture."""
        self._levels = None
        if self.format.bits > 8:
            if window is None:
                raise ValueError("a format of more than 8 bits needs a window")
            self._levels = through_window(np.arange(1 << 16), window)

    def pixels(self, data: bytes) -> Pixels:
        """Return the picture in a buffer of at least `bytes` bytes; only a deep format is copied."""
        stored = np.frombuffer(data, np.uint8, self.bytes)
        if self._levels is None:
            return stored.reshape(self.height, self.width)
        if self.format.row_bits % 8 and self.bytes % _GROUP_BYTES:
            stored = np.concatenate([stored, np.zeros(_GROUP_BYTES - self.bytes % _GROUP_BYTES, np.uint8)])
        samples = self.format.unpack(stored)[: self.height * self.width]
        return self._levels[samples].reshape(self.height, self.width)
