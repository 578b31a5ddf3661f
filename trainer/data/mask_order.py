"""Recognises masks that are stored row by row where columns are expected, and masks with smoothed edges."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels

LEAST_RUNS: Final = 6
"""Runs of a mask from which its order can be judged; a smaller mask looks alike either way."""
CLEARER: Final = 2.0
"""Factor by which the outline of a mask becomes shorter in the right order. Read in the wrong order, the runs of
neighbouring rows lie scattered, and the outline is as long as all runs together."""
SMOOTHED_PX: Final = 5
"""Side of the area that must hold a lower and a higher class: smoothing by 3 px draws borders 2 px wide."""
LEAST_SMOOTHED_PX: Final = 4
"""Fewest pixels of a class that must all lie between two others, so that chance cannot explain it."""


def looks_row_major(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask, bool [H, W], read down the columns is clearly whole only if read along the rows.

    A square frame read in the wrong order is transposed and looks as whole as before: there it returns False.
    """
    height, width = mask.shape
    columns = mask.T
    borders = np.count_nonzero(np.diff(columns.reshape(-1).view(np.int8)))
    if height == width or borders < 2 * LEAST_RUNS:
        return False
    return _outline(mask) > CLEARER * _outline(np.ascontiguousarray(columns).reshape(height, width))


def _outline(mask: NDArray[np.bool_]) -> int:
    """Length of all borders inside the frame, px."""
    along = np.count_nonzero(mask[1:] != mask[:-1])
    return int(along + np.count_nonzero(mask[:, 1:] != mask[:, :-1]))


def smoothed_class(label: Pixels) -> int | None:
    """A class whose every pixel lies between a lower and a higher class, as smoothing leaves it; None without one.

    Scaling a label map with interpolation, or a JPEG, draws the classes between two neighbours along their border.
    """
    highest = int(label.max())
    if highest <= 1:
        return None
    around = np.ones((SMOOTHED_PX, SMOOTHED_PX), np.uint8)
    higher = cv2.dilate(label, around) > label
    lower = cv2.erode(label, around) < label
    for kind in range(1, highest):
        own = label == kind
        count = int(np.count_nonzero(own))
        if count >= LEAST_SMOOTHED_PX and count == np.count_nonzero(own & higher & lower):
            return kind
    return None
