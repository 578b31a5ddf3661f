"""Draws outlines: polygons with holes, rectangles, ellipses."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.data.coco_masks import MaskFault, decode_segmentation
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
        raise MaskFault(f"corners lie up to {margin} px outside a frame of {height}×{width} px")
    larger = (height + 2 * margin, width + 2 * margin)
    mask, _ = decode_segmentation([(points + margin).ravel().tolist()], larger)
    return np.ascontiguousarray(mask[margin : margin + height, margin : margin + width])


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the corners of a rectangle."""
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def ellipse(x: float, y: float, across: float, along: float, degrees: float = 0.0) -> Points:
    """Return the corners of an ellipse from its centre and half axes, rotated by `degrees`."""
    turned = math.radians(degrees)
    corners = []
    for step in range(ELLIPSE_CORNERS):
        angle = 2 * math.pi * step / ELLIPSE_CORNERS
        dx, dy = across * math.cos(angle), along * math.sin(angle)
        corners.append(
            [x + dx * math.cos(turned) - dy * math.sin(turned), y + dx * math.sin(turned) + dy * math.cos(turned)]
        )
    return corners
