"""Corrects a camera's pictures: the brightness of each column, and the distortion of its lens."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels

MOST_GAIN: Final = 4.0
"""Largest correction of a column: a darker column shows noise, not steel."""

BRIGHT_PERCENT: Final = 95
"""Percentile of the columns' greys that is steel, also where the strip covers a part of the view only."""

LIT_SHARE: Final = 0.15
"""A column darker than this share of it is beside the strip, or its pixel is dead: it takes the gain between its
neighbours'."""

Floats = NDArray[np.float32]


class Lens(NamedTuple):
    """A camera's matrix and its distortion, as in OpenCV."""

    focal_px: tuple[float, float]
    """Along columns and rows."""
    centre_px: tuple[float, float]
    distortion: tuple[float, float, float, float, float]
    """k1, k2, p1, p2, k3."""

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The camera's matrix, [3, 3]."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


class Optics:
    """Corrects the pictures of one camera, which have one size."""

    def __init__(self, height: int, width: int, gain: Floats | None, lens: Lens | None) -> None:
        """`gain` has a factor per column, [W]."""
        self.size = (height, width)
        self._gain = None if gain is None else np.ascontiguousarray(np.broadcast_to(gain, (height, width)))
        self._maps: tuple[NDArray[np.int16], NDArray[np.uint16]] | None = None
        if lens is not None:
            first, second = cv2.initUndistortRectifyMap(
                lens.matrix, np.array(lens.distortion), np.eye(3), lens.matrix, (width, height), cv2.CV_16SC2
            )
            self._maps = (np.asarray(first, np.int16), np.asarray(second, np.uint16))

    def correct(self, pixels: Pixels) -> Pixels:
        """Return a corrected copy of a picture of `size`, uint8 [H, W]: first the sensor's gain, then the lens."""
        if self._gain is not None:
            pixels = np.asarray(cv2.multiply(pixels, self._gain, dtype=cv2.CV_8U), np.uint8)
        if self._maps is not None:
            pixels = np.asarray(
                cv2.remap(pixels, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
            )
        return pixels


def gain_of(columns_grey: NDArray[np.float64]) -> Floats:
    """The gain of each column from mean greys of plain steel, [frames, W]: the middle one of the frames counts, so
    that a defect in one of them does not. Raises ValueError for pictures without light."""
    grey = np.median(columns_grey, axis=0)
    bright = float(np.percentile(grey, BRIGHT_PERCENT))  # of steel, also where it covers a part of the view
    lit = grey >= max(LIT_SHARE * bright, 1.0)
    if not lit.any():
        raise ValueError("the pictures are black")
    target = float(grey[lit].mean())
    columns = np.arange(len(grey))
    gain = np.interp(columns, columns[lit], np.clip(target / grey[lit], 1 / MOST_GAIN, MOST_GAIN))
    return gain.astype(np.float32)
