"""Finds the connected defects of one frame in an engine's maps."""

from collections.abc import Sequence
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inspector.core.rules import threshold_maps
from inspector.values import MAX_SCORE, Pixels, Segmentation

BORDER_ROWS_PX: Final = 2
"""A defect this near to the first or last row reaches the frame's border: enlarged maps fade out by a pixel or
two."""

MAX_COMPONENTS: Final = 64
"""Most regions of one kind reported per frame. More are spray, scale or a flickering lamp: their number alone
rejects the frame, and one camera costs the others at most about 3 ms a frame."""

MARGIN_CELLS: Final = 2
"""Map cells around the candidates that are enlarged with them."""


class Component(msgspec.Struct, frozen=True):
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


class Candidates(msgspec.Struct, frozen=True):
    """The part of one frame that may contain defects; everything around it is normal."""

    mask: Pixels
    """uint8 [h, w]: the defect class where the score reaches its threshold, else 0; empty when no score does."""
    score: Pixels
    """uint8 [h, w]."""
    x: int
    y: int
    """Position of its first pixel in the frame."""
    frame_size: tuple[int, int]
    """H, W."""

    def in_frame(self, plane: Pixels) -> Pixels:
        """`mask` or `score` at frame size, 0 around this part, uint8 [H, W]."""
        height, width = plane.shape
        whole = np.zeros(self.frame_size, np.uint8)
        whole[self.y : self.y + height, self.x : self.x + width] = plane
        return whole


def enlarge(segmentation: Segmentation, height: int, width: int) -> tuple[Pixels, Pixels]:
    """(kind, score) at frame size, uint8 [H, W]: kind by nearest neighbour, score bilinear."""
    kind, score, stride = segmentation.kind, segmentation.score, segmentation.map_stride
    if stride == 1:
        return kind, score
    size = (kind.shape[1] * stride, kind.shape[0] * stride)
    # The last cells of a frame whose size does not divide by the stride reach over its edge.
    return (
        np.asarray(cv2.resize(kind, size, interpolation=cv2.INTER_NEAREST), np.uint8)[:height, :width],
        np.asarray(cv2.resize(score, size, interpolation=cv2.INTER_LINEAR), np.uint8)[:height, :width],
    )


def find_candidates(segmentation: Segmentation, height: int, width: int, thresholds: Pixels) -> Candidates:
    """Find where a frame of `height` × `width` px may have defects: the class where score ≥ thresholds[class].

    Only that part is enlarged: most of a frame has no candidates, and enlarging the rest would cost more than all
    later steps.
    """
    stride = segmentation.map_stride
    reached = segmentation.score >= thresholds[1:].min()
    x, y, w, h = cv2.boundingRect(reached.view(np.uint8))
    if w == 0:
        nothing = np.empty((0, 0), np.uint8)
        return Candidates(nothing, nothing, 0, 0, (height, width))
    # Two more cells on each side: there, interpolation at the cut edge stays below every threshold.
    rows = slice(max(0, y - MARGIN_CELLS), y + h + MARGIN_CELLS)
    columns = slice(max(0, x - MARGIN_CELLS), x + w + MARGIN_CELLS)
    part = Segmentation(
        np.ascontiguousarray(segmentation.kind[rows, columns]),
        np.ascontiguousarray(segmentation.score[rows, columns]),
        stride,
    )
    top, left = rows.start * stride, columns.start * stride
    kind, score = enlarge(
        part,
        min(part.kind.shape[0] * stride, height - top),
        min(part.kind.shape[1] * stride, width - left),
    )
    mask = threshold_maps(kind, score, thresholds)
    return Candidates(mask, score, left, top, (height, width))


class Components(msgspec.Struct, frozen=True):
    """The defects that one frame shows."""

    found: list[Component]
    """Ordered by kind and first row; at most MAX_COMPONENTS of a kind, the largest."""
    crowded: dict[int, int] = {}
    """Kind → number of regions, for kinds with more than MAX_COMPONENTS."""


def find_components(candidates: Candidates, min_area_px: Sequence[float] = ()) -> Components:
    """Find the connected regions (8 neighbours) of each kind.

    Regions smaller than `min_area_px` of their kind are left out, unless they reach the frame's first or last row:
    there they may be part of a larger one.
    """
    if not candidates.mask.size:
        return Components([])
    x0, y0, width, height = cv2.boundingRect(candidates.mask)
    if width == 0:
        return Components([])
    inside = candidates.mask[y0 : y0 + height, x0 : x0 + width]
    score = candidates.score[y0 : y0 + height, x0 : x0 + width]
    x0, y0 = x0 + candidates.x, y0 + candidates.y
    components: list[Component] = []
    crowded: dict[int, int] = {}
    for kind in range(1, int(inside.max()) + 1):
        one_kind = (inside == kind).view(np.uint8)
        if not cv2.countNonZero(one_kind):
            continue
        _, labels, stats, centroids = cv2.connectedComponentsWithStats(one_kind, connectivity=8)
        counted = _counted(stats, y0, candidates.frame_size[0], min_area_px[kind] if min_area_px else 0.0)
        if len(counted) > MAX_COMPONENTS:
            crowded[kind] = len(counted)
            largest = np.argsort(-stats[counted, cv2.CC_STAT_AREA], kind="stable")[:MAX_COMPONENTS]
            counted = np.sort(counted[largest])
        for label in counted.tolist():
            x, y, w, h, area = stats[label].tolist()
            box = (slice(y, y + h), slice(x, x + w))
            region = labels[box] == label
            x, y = x + x0, y + y0
            centre_x, centre_y = centroids[label].tolist()
            components.append(
                Component(
                    kind=kind,
                    box=(x, y, w, h),
                    area_px=area,
                    centre_px=(centre_x + x0, centre_y + y0),
                    score=cv2.mean(score[box], region.view(np.uint8))[0] / MAX_SCORE,
                    top=_columns(region, x, BORDER_ROWS_PX - y),
                    bottom=_columns(region[::-1], x, BORDER_ROWS_PX - (candidates.frame_size[0] - y - h)),
                )
            )
    return Components(components, crowded)


def _counted(stats: NDArray[np.int32], y0: int, height: int, min_area_px: float) -> NDArray[np.intp]:
    """Labels of the regions that may be defects. Vectorised, because spray can leave thousands of regions."""
    first = stats[1:, cv2.CC_STAT_TOP] + y0
    last = first + stats[1:, cv2.CC_STAT_HEIGHT]
    at_border = (first < BORDER_ROWS_PX) | (last > height - BORDER_ROWS_PX)
    return np.flatnonzero((stats[1:, cv2.CC_STAT_AREA] > min_area_px - 1) | at_border) + 1


def _columns(region: NDArray[np.bool_], x: int, rows: int) -> NDArray[np.intp]:
    """Columns of the frame that the region occupies in its first `rows` rows."""
    if rows <= 0:
        return np.empty(0, np.intp)
    return np.flatnonzero(region[:rows].any(axis=0)) + x
