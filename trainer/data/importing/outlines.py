"""Draws outlines: polygons with holes, rectangles, ellipses."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.data.coco_masks import MaskFault, OutsideFault, decode_segmentation
from trainer.data.importing.source import Size

Points = Sequence[Sequence[float]]
"""x and y of each corner, px."""

ELLIPSE_CORNERS = 72
"""Corners of the polygon that stands for an ellipse: one per 5°."""


def fill(outline: Points, size: Size, *, clip: bool, holes: Sequence[Points] = ()) -> NDArray[np.bool_]:
    """Draw a polygon without its holes; returns the mask, bool [H, W].

    Raises MaskFault for fewer than three corners, for values that are not numbers, and without `clip` for corners
    outside the frame.
    """
    mask = _polygon(outline, size, clip=clip)
    for hole in holes:
        mask &= ~_polygon(hole, size, clip=clip)
    return mask


def _polygon(outline: Points, size: Size, *, clip: bool) -> NDArray[np.bool_]:
    corners = [float(value) for point in outline for value in point[:2]]
    if not clip:
        return decode_segmentation([corners], size)[0]
    height, width = size
    points = np.array(corners).reshape(-1, 2)
    if not len(points) or not np.isfinite(points).all():
        raise MaskFault("a polygon must hold numbers only")
    over = max(0.0, *(-points).max(axis=0), *(points - [width, height]).max(axis=0))
    margin = math.ceil(over)
    if margin > height + width:
        raise OutsideFault(f"corners lie up to {margin} px outside a frame of {height}×{width} px")
    larger = (height + 2 * margin, width + 2 * margin)
    mask, _ = decode_segmentation([(points + margin).ravel().tolist()], larger)
    return np.ascontiguousarray(mask[margin : margin + height, margin : margin + width])


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the corners of a rectangle."""
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def rotated(corners: Points, degrees: float) -> Points:
    """Return a shape turned clockwise about the middle of its corners."""
    turn = math.radians(degrees)
    x, y = np.mean(corners, axis=0).tolist()
    return [
        [
            x + (corner[0] - x) * math.cos(turn) - (corner[1] - y) * math.sin(turn),
            y + (corner[0] - x) * math.sin(turn) + (corner[1] - y) * math.cos(turn),
        ]
        for corner in corners
    ]


def ellipse(x: float, y: float, across: float, along: float, degrees: float = 0.0) -> Points:
    """Return the corners of an ellipse from its centre and half axes, rotated by `degrees`."""
    steps = [2 * math.pi * step / ELLIPSE_CORNERS for step in range(ELLIPSE_CORNERS)]
    return rotated([[x + across * math.cos(step), y + along * math.sin(step)] for step in steps], degrees)
