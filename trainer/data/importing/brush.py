"""Decodes a brush mask of Label Studio: thi.ng's rle-pack of an RGBA picture whose alpha is the mask."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.data.coco_masks import MaskFault
from trainer.data.importing.source import Size

_CHANNELS: Final = 4
_ALPHA: Final = 3


class _Bits:
    """Reads numbers of any bit length, highest bit first."""

    def __init__(self, data: Sequence[int]) -> None:
        self._bits = np.unpackbits(np.array(data, np.uint8))
        self._at = 0

    def number(self, bits: int) -> int:
        end = self._at + bits
        if end > len(self._bits):
            raise MaskFault("its brush mask breaks off")
        value = 0
        for bit in self._bits[self._at : end].tolist():
            value = value << 1 | bit
        self._at = end
        return value


def decode_brush(data: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """Decode a mask, bool `size` = [H, W]; raises MaskFault for data that end early or have another size.

    The data begin with the number of values (32 bits), the bits of a value less one (5), and four lengths less one
    (4 each). Each run then has a bit (repeated or not), the index of its length (2), its count less one, and its
    value, or its values.
    """
    height, width = size
    bits = _Bits(data)
    count, word = bits.number(32), bits.number(5) + 1
    lengths = [bits.number(4) + 1 for _ in range(4)]
    if count != height * width * _CHANNELS:
        raise MaskFault(f"its brush mask has {count} values, not those of {height}×{width} px")
    values = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        is_run = bits.number(1)
        run = bits.number(lengths[bits.number(2)]) + 1
        if at + run > count:
            raise MaskFault("its brush mask is longer than it says")
        if is_run:
            values[at : at + run] = bits.number(word)
        else:
            values[at : at + run] = [bits.number(word) for _ in range(run)]
        at += run
    return values.reshape(height, width, _CHANNELS)[..., _ALPHA] > 0
