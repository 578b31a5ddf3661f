"""Counts pixel values ten times faster than numpy: an evaluation counts every pixel several times."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels

VALUES: Final = 256


def histogram(pixels: Pixels, where: Pixels | None = None) -> NDArray[np.int64]:
    """Number of pixels per value in uint8 [H, W], int64 [256]; with `where`, only pixels where it is not 0.

    Exact up to 2²⁴ pixels, because OpenCV returns the counts as float32.
    """
    if pixels.size == 0:
        return np.zeros(VALUES, np.int64)
    counts = cv2.calcHist([pixels], [0], where, [VALUES], [0, VALUES])
    return np.asarray(counts.ravel(), np.int64)
