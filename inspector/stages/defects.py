"""From an engine's maps to the connected defects of one frame."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.rules import threshold_maps
from inspector.values import MAX_SCORE, Pixels, Segmentation

BORDER_ROWS_PX: Final = 2
"""A defect this near to the frame's first or last row reaches it: enlarged maps fade out by a pixel or two."""

MARGIN_CELLS: Final = 2
"""Cells of the maps around the candidates that are enlarged with them."""


@dataclass(frozen=True, slots=True)
class Component:
    """One connected region of one kind in one frame."""

    kind: int
    box: tuple[int, int, int, int]
    """x, y, width, height, px."""
    area_px: int
    centre_px: tuple[float, float]
    """x, y."""
    score: float
    """Mean of 1 − p(normal) over its pixels, 0..1."""
    top: NDArray[np.intp]
    """Columns in which it reaches the frame's first row."""
    bottom: NDArray[np.intp]
    """Columns in which it reaches the frame's last row."""


def enlarge(segmentation: Segmentation, height: int, width: int) -> tuple[Pixels, Pixels]:
    """(kind, score) at frame size, uint8 [H, W]: kind by nearest neighbour, score bilinear."""
    kind, score = segmentation.kind, segmentation.score
    if kind.shape == (height, width):
        return kind, score
    size = (width, height)
    return (
        np.asarray(cv2.resize(kind, size, interpolation=cv2.INTER_NEAREST), np.uint8),
        np.asarray(cv2.resize(score, size, interpolation=cv2.INTER_LINEAR), np.uint8),
    )


def class_mask(segmentation: Segmentation, height: int, width: int, steps: Pixels) -> tuple[Pixels, Pixels]:
    """(mask, score) at frame size, uint8 [H, W]: the defect class where score ≥ steps[class], else 0.

    The score is filled in only around what may be a defect: most of a frame never is, and enlarging it would cost
    more than all that follows.
    """
    stride = segmentation.map_stride
    mask, score = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    lowest = int(steps[1:].min())
    x, y, w, h = cv2.boundingRect((segmentation.score >= lowest).astype(np.uint8))
    if w == 0:
        return mask, score
    # Two cells more on each side: what interpolation makes of the cut edge stays below every threshold there.
    rows = slice(max(0, y - MARGIN_CELLS), y + h + MARGIN_CELLS)
    columns = slice(max(0, x - MARGIN_CELLS), x + w + MARGIN_CELLS)
    part = Segmentation(
        np.ascontiguousarray(segmentation.kind[rows, columns]),
        np.ascontiguousarray(segmentation.score[rows, columns]),
        stride,
    )
    size = (part.kind.shape[0] * stride, part.kind.shape[1] * stride)
    top, left = rows.start * stride, columns.start * stride
    inside = (slice(top, top + size[0]), slice(left, left + size[1]))
    part_kind, score[inside] = enlarge(part, *size)
    mask[inside] = threshold_maps(part_kind, score[inside], steps)
    return mask, score


def find_components(mask: Pixels, score: Pixels) -> list[Component]:
    """Connected regions (8 neighbours) of each kind, in the order of kind and first row.

    `mask` uint8 [H, W], 0 normal; `score` uint8 [H, W].
    """
    x0, y0, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    inside = mask[y0 : y0 + height, x0 : x0 + width]
    components: list[Component] = []
    for kind in range(1, int(inside.max()) + 1):
        one_kind = (inside == kind).view(np.uint8)
        if not cv2.countNonZero(one_kind):
            continue
        count, labels, stats, centroids = cv2.connectedComponentsWithStats(one_kind, connectivity=8)
        for label in range(1, count):
            x, y, w, h, area = (int(value) for value in stats[label])
            region = labels[y : y + h, x : x + w] == label
            x, y = x + x0, y + y0
            components.append(
                Component(
                    kind=kind,
                    box=(x, y, w, h),
                    area_px=area,
                    centre_px=(float(centroids[label][0]) + x0, float(centroids[label][1]) + y0),
                    score=float(score[y : y + h, x : x + w][region].mean()) / MAX_SCORE,
                    top=_columns(region, x, BORDER_ROWS_PX - y),
                    bottom=_columns(region[::-1], x, BORDER_ROWS_PX - (mask.shape[0] - y - h)),
                )
            )
    return components


def _columns(region: NDArray[np.bool_], x: int, rows: int) -> NDArray[np.intp]:
    """Columns, in the frame, of what the region has in its first `rows` rows."""
    if rows <= 0:
        return np.empty(0, np.intp)
    return np.flatnonzero(region[:rows].any(axis=0)) + x
