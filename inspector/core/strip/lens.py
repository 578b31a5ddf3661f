"""Measures a lens's distortion from pictures of a chessboard."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.strip.optics import Lens
from inspector.values import Pixels

LEAST_VIEWS: Final = 6
"""Fewest pictures of the board: with fewer, distortion and tilt cannot be told apart."""

MOST_ERROR_PX: Final = 1.0
"""Largest mean distance of a corner from where the lens puts it; a larger one means a bent or another board."""

Corners = NDArray[np.float32]
"""Inner corners of a board, px: float32 [N, 1, 2]."""


def find_corners(pixels: Pixels, board: tuple[int, int]) -> Corners | None:
    """Return the inner corners of a board of (columns, rows); None if part of it is out of the picture."""
    found, corners = cv2.findChessboardCornersSB(pixels, board, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    return np.asarray(corners, np.float32) if found else None


def fit_lens(views: Sequence[Corners], board: tuple[int, int], size: tuple[int, int]) -> tuple[Lens, float]:
    """(lens, mean error in px) from the corners of several views; `size` is (height, width).

    Z. Zhang, "A flexible new technique for camera calibration", 2000, as in OpenCV. Tangential distortion and
    the third radial term are left out: pictures of a strip are low and do not determine them. Raises ValueError.
    """
    if len(views) < LEAST_VIEWS:
        raise ValueError(f"{len(views)} pictures show the whole board: a lens needs at least {LEAST_VIEWS}")
    columns, rows = board
    flat = np.zeros((columns * rows, 3), np.float32)
    flat[:, :2] = np.mgrid[:columns, :rows].T.reshape(-1, 2)
    flags = cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
    error_px, matrix, distortion, _, _ = cv2.calibrateCamera(
        [flat] * len(views),
        list(views),
        (size[1], size[0]),
        None,
        None,
        flags=flags,
    )
    if error_px > MOST_ERROR_PX:
        raise ValueError(
            f"the corners lie {error_px:.1f} px off on average, over {MOST_ERROR_PX:g}: is the board flat, and "
            f"has it {columns}×{rows} inner corners?"
        )
    k1, k2, p1, p2, k3 = (float(each) for each in np.ravel(distortion)[:5])
    focal = (float(matrix[0, 0]), float(matrix[1, 1]))
    centre = (float(matrix[0, 2]), float(matrix[1, 2]))
    return Lens(focal, centre, (k1, k2, p1, p2, k3)), float(error_px)
