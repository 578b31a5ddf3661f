"""Finds frames that show the same piece of steel: copied, re-encoded, re-lit, mirrored, turned, or pasted over.

Frames are compared by a perceptual hash (pHash: signs of the lowest 16×16 DCT coefficients of the frame shrunk to
32×32, without the mean; 255 bits). Mirroring a frame changes the sign of every odd coefficient and transposing it
transposes them, so all orientations are compared without touching the pixels again. With bits as ±1, the Hamming
distances of all pairs are one matrix product: no index is needed up to some 100000 frames.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels

THUMB_PX: Final = 32
COEFFICIENTS: Final = 16
BITS: Final = COEFFICIENTS**2 - 1

MAX_DISTANCE: Final = 64
"""Most bits in which look-alikes differ, of 255 (unrelated frames: 127 ± 8).

On the 3627 frames of NEU-Seg every inspected pair up to 75 shows the same steel, with a part pasted over at the
upper end; unrelated pairs begin at 80.
"""
DUPLICATE_CORRELATION: Final = 0.98
"""Least correlation of thumbnails for a pixel comparison; copies in NEU-Seg have 0.99 and more."""

BLANK_DEVIATION: Final = 0.3
"""Standard deviation of a thumbnail, grey levels. Below it a frame contains nothing but rounding errors."""

_BLOCK: Final = 2048
"""Frames per side of one matrix product: 16 MiB of distances."""
_TURNS: Final = 8
_MIRRORS: Final = 4
"""Number of orientations of a square, and of a rectangle, which cannot be transposed."""


@dataclass(frozen=True, slots=True)
class Look:
    """Features of one frame for the comparison."""

    coefficients: NDArray[np.float32]
    """float32 [16, 16], the mean set to 0."""
    thumbnail: NDArray[np.float32]
    """float32 [32, 32], mean 0 and norm 1."""
    is_square: bool
    is_blank: bool
    """Too uniform to be distinguished from another uniform frame; mostly black frames."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two frames that look alike."""

    first: int
    second: int
    """Their indices, first < second."""
    turn: int
    """Orientation of the second frame that matches the first, see `turned`."""
    distance: int
    """Number of different bits, of 255."""
    correlation: float
    """Correlation of the thumbnails in this orientation."""

    @property
    def may_be_duplicate(self) -> bool:
        """Whether both may be takes of one picture, instead of only sharing steel."""
        return self.correlation >= DUPLICATE_CORRELATION


def look(pixels: Pixels) -> Look:
    """Compute the features of a frame, uint8 [H, W]."""
    small = cv2.resize(pixels, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    coefficients = cv2.dct(small)[:COEFFICIENTS, :COEFFICIENTS].copy()
    coefficients[0, 0] = 0.0
    norm = float(np.linalg.norm(small))
    thumbnail = np.asarray(small / max(norm, 1.0), np.float32)
    is_blank = norm < BLANK_DEVIATION * THUMB_PX
    return Look(np.asarray(coefficients, np.float32), thumbnail, pixels.shape[0] == pixels.shape[1], is_blank)


_Scalar = TypeVar("_Scalar", bound=np.generic)


def turned(pixels: NDArray[_Scalar], turn: int) -> NDArray[_Scalar]:
    """A frame transposed (turn & 4), then upside down (turn & 2), then left to right (turn & 1)."""
    if turn & 4:
        pixels = pixels.T
    if turn & 2:
        pixels = pixels[::-1]
    if turn & 1:
        pixels = pixels[:, ::-1]
    return pixels


def find_pairs(looks: list[Look], max_distance: int = MAX_DISTANCE) -> list[Pair]:
    """Every pair of frames that look alike in some orientation, by index; blank frames have no look-alikes.

    O(N²) multiplications, in blocks; O(N) memory.
    """
    if len(looks) < 2:
        return []
    coefficients = np.stack([each.coefficients for each in looks])
    turns = _TURNS if all(each.is_square for each in looks) else _MIRRORS
    plain = _signs(coefficients)
    oriented = [_signs(_turned_coefficients(coefficients, turn)) for turn in range(turns)]
    pairs: list[Pair] = []
    for top in range(0, len(looks), _BLOCK):
        for left in range(top, len(looks), _BLOCK):
            block = plain[top : top + _BLOCK]
            best = np.full((len(block), len(plain[left : left + _BLOCK])), BITS, np.float32)
            turn_of = np.zeros(best.shape, np.uint8)
            for turn, signs in enumerate(oriented):
                distance = (BITS - block @ signs[left : left + _BLOCK].T) / 2
                closer = distance < best
                best[closer], turn_of[closer] = distance[closer], turn
            rows, columns = np.nonzero(best <= max_distance)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                first, second = top + row, left + column
                if first < second and not looks[first].is_blank and not looks[second].is_blank:
                    turn, bits = int(turn_of[row, column]), int(best[row, column])
                    pairs.append(_pair(looks, first, second, turn, bits))
    return pairs


def join(count: int, links: Iterable[tuple[int, int]]) -> NDArray[np.intp]:
    """Group number of each of `count` frames, from 0 in order; linked frames share a number."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in links:
        parent[root(second)] = root(first)
    return np.unique([root(index) for index in range(count)], return_inverse=True)[1].astype(np.intp)


def group(frames: Iterable[Pixels]) -> NDArray[np.intp]:
    """Group number of each frame, uint8 [H, W]; look-alikes share a number."""
    looks = [look(frame) for frame in frames]
    return join(len(looks), ((pair.first, pair.second) for pair in find_pairs(looks)))


def _pair(looks: list[Look], first: int, second: int, turn: int, distance: int) -> Pair:
    correlation = float((looks[first].thumbnail * turned(looks[second].thumbnail, turn)).sum())
    return Pair(first, second, turn, distance, correlation)


def _turned_coefficients(coefficients: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """DCT coefficients [N, 16, 16] of the turned frames."""
    odd = np.where(np.arange(COEFFICIENTS) % 2, -1.0, 1.0).astype(np.float32)
    if turn & 4:
        coefficients = coefficients.transpose(0, 2, 1)
    if turn & 2:
        coefficients = coefficients * odd[:, None]
    if turn & 1:
        coefficients = coefficients * odd
    return coefficients


def _signs(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """±1, float32 [N, 256]; the position of the mean is 0 and has no weight."""
    signs = np.where(coefficients > 0, 1.0, -1.0).astype(np.float32)
    signs[:, 0, 0] = 0.0
    return signs.reshape(len(signs), -1)
