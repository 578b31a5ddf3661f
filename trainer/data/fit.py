"""Brings frames of any size to the one size of training and of the engine, by tiles or by scaling."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np

from inspector.errors import InputError
from inspector.values import Pixels

Policy = Literal["tile", "resize"]
POLICIES: Final = ("tile", "resize")

USUAL_SHARE: Final = 0.5
"""Share of frames of one size from which that size is the frame's."""
WHOLE_SHARE: Final = 0.9
"""Share of the heights, and of the widths, that the frame holds if there is no such size. A defect that a tile
cuts is harder to see: on the magnetic-tile set, frames in 2.3 tiles each cost 3 points of mIoU."""
MOST_PIXELS: Final = 3.0
"""Pixels of all tiles ÷ pixels of all frames, above which so large a frame is mostly mirrored edge, and the median
height and width are taken."""
MULTIPLE_PX: Final = 16
"""Sizes are rounded to a multiple of this: every preset's strides divide it or come close."""
LEAST_SIDE_PX: Final = 8
"""Smallest height or width of a frame."""

FIT: Final = "fit"
"""Key of the record in a checkpoint's facts and a card's `data`."""

Window = tuple[int, int]
"""Top and left of a tile, px."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How frames of other sizes become frames of one size."""

    policy: Policy
    height: int
    width: int

    def windows(self, height: int, width: int) -> list[Window]:
        """Tiles of a frame, top and left; a single one for a frame that is scaled or not larger than a tile.

        Tiles cover the frame evenly: if its size is not a multiple of theirs, they overlap.
        """
        if self.policy == "resize":
            return [(0, 0)]
        return [(top, left) for top in _starts(height, self.height) for left in _starts(width, self.width)]

    def apply(self, frame: Pixels, label: Pixels, window: Window) -> tuple[Pixels, Pixels]:
        """The tile, or the scaled frame, with its label; a frame smaller than a tile is mirrored at its edges."""
        size = (self.height, self.width)
        if frame.shape == size:
            return frame, label
        if self.policy == "resize":
            shrinks = frame.shape[0] * frame.shape[1] > self.height * self.width
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            scaled = np.asarray(cv2.resize(frame, size[::-1], interpolation=how), np.uint8)
            return scaled, np.asarray(
                cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
            )
        top, left = window
        part = (slice(top, top + self.height), slice(left, left + self.width))
        return self._padded(frame[part]), self._padded(label[part])

    def filled(self, height: int, width: int, window: Window) -> tuple[int, int]:
        """Height and width of the part that the frame fills; the rest is mirrored."""
        if self.policy == "resize":
            return self.height, self.width
        top, left = window
        return min(self.height, height - top), min(self.width, width - left)

    def _padded(self, part: Pixels) -> Pixels:
        bottom, right = self.height - part.shape[0], self.width - part.shape[1]
        return np.pad(part, ((0, bottom), (0, right)), mode="symmetric") if bottom or right else part


def _starts(length: int, tile: int) -> list[int]:
    count = -(-length // tile)
    return [int(start) for start in np.linspace(0, max(0, length - tile), count).round()]


def usual_size(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Height and width that suit frames of these sizes: the most frequent one, else one that holds most frames."""
    counts = Counter(sizes)
    (most, count), total = counts.most_common(1)[0], counts.total()
    if count >= USUAL_SHARE * total:
        return most
    every = np.array([size for size, number in counts.items() for _ in range(number)])
    height, width = (
        -(-int(side) // MULTIPLE_PX) * MULTIPLE_PX for side in np.quantile(every, WHOLE_SHARE, axis=0)
    )
    tiles = (-(-every // (height, width))).prod(axis=1)
    if tiles.sum() * height * width <= MOST_PIXELS * every.prod(axis=1).sum():
        return height, width
    height, width = (int(side) // MULTIPLE_PX * MULTIPLE_PX for side in np.median(every, axis=0))
    return max(height, MULTIPLE_PX), max(width, MULTIPLE_PX)


def check_side(height: int, width: int, where: str) -> None:
    """Raise InputError for a frame too small for any network."""
    if min(height, width) < LEAST_SIDE_PX:
        raise InputError(f"{where}: frame is {height}×{width} px: needs at least {LEAST_SIDE_PX} px each way")


def stored_fit(facts: Mapping[str, Any]) -> Fit | None:
    """The fit that a checkpoint or card records; None if its frames have one size."""
    stored = facts.get(FIT)
    return None if stored is None else Fit(stored["policy"], stored["height"], stored["width"])
