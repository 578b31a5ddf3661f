"""Mask and decision of a single frame, by the line's own functions, and the thresholds that would change it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.defects import enlarge, find_candidates
from inspector.core.rules import score_thresholds
from inspector.values import Pixels, Segmentation
from trainer.evaluation.histogram import histogram
from trainer.evaluation.predictors import Operation

LOWEST_REJECT_STEP: Final = 13
"""Lowest threshold considered, score steps (5 %). A frame that only a lower threshold would reject counts as never
rejected: such a threshold is useless in practice, and nearly every frame's noise would have to be measured."""


@dataclass(frozen=True, slots=True)
class FrameVerdict:
    """The line's verdict on one frame, judged alone."""

    mask: Pixels
    """uint8 [H, W]: class by threshold alone, small defects included."""
    score: Pixels
    """uint8 [H, W]; 0 outside the part of the frame that holds candidates (`find_candidates`)."""
    rejecting: NDArray[np.bool_]
    """bool [classes]: kinds with a defect of at least their minimum area."""

    @property
    def rejected(self) -> bool:
        """Whether any kind rejects the frame."""
        return bool(self.rejecting.any())


def largest_areas(mask: Pixels, classes: int) -> NDArray[np.int64]:
    """Area of the largest connected defect of each kind, px, int64 [classes] (index 0 is unused)."""
    areas = np.zeros(classes, np.int64)
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return areas
    inside = mask[y : y + height, x : x + width]
    for kind in range(1, classes):
        areas[kind] = largest_area(inside == kind)
    return areas


def largest_area(region: NDArray[np.bool_]) -> int:
    """Area of the largest connected region (8 neighbours), px; 0 for an empty mask."""
    mask = region.view(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return 0
    inside = np.ascontiguousarray(mask[y : y + height, x : x + width])
    count, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    return int(stats[1:count, cv2.CC_STAT_AREA].max())


def reject_step(score: Pixels, min_area_px: int) -> int:
    """Highest threshold, in score steps, at which one kind still has a defect of its minimum area.

    `score` is uint8 [H, W], 0 where another kind is likelier. Returns 0 if no threshold from LOWEST_REJECT_STEP up
    rejects the frame.
    """
    least = max(1, min_area_px)
    at_or_over = histogram(score)[::-1].cumsum()[::-1]
    high = int((at_or_over >= least).sum()) - 1  # above it, all pixels together are not enough
    if high < LOWEST_REJECT_STEP:
        return 0
    low = LOWEST_REJECT_STEP - 1
    while low < high:  # a region only shrinks as the threshold grows: rejects at low, not above high
        middle = (low + high + 1) // 2
        if largest_area(score >= middle) >= least:
            low = middle
        else:
            high = middle - 1
    return low if low >= LOWEST_REJECT_STEP else 0


class FrameJudge:
    """Applies thresholds and minimum areas to a predictor's maps.

    The line judges a defect by its area over all frames that it runs through; here each frame is judged alone.
    """

    def __init__(self, operation: Operation) -> None:
        self._classes = len(operation.classes)
        self.score_thresholds: Pixels = score_thresholds(operation.classes, operation.thresholds)
        """Thresholds by kind, score steps, uint8 [classes]."""
        self._min_area = [0, *(operation.min_area_px.get(name, 0) for name in operation.classes[1:])]

    def judge(self, segmentation: Segmentation, height: int, width: int) -> FrameVerdict:
        """Mask and decision at frame size."""
        found = find_candidates(segmentation, height, width, self.score_thresholds)
        mask, score = found.in_frame(found.mask), found.in_frame(found.score)
        areas = largest_areas(mask, self._classes)
        return FrameVerdict(mask, score, reaches(areas, self._min_area))

    def reject_steps(self, segmentation: Segmentation, height: int, width: int) -> Pixels:
        """By kind, the highest threshold that still rejects the frame, uint8 [classes]; see `reject_step`."""
        kind, score = enlarge(segmentation, height, width)
        steps = np.zeros(self._classes, np.uint8)
        for index in range(1, self._classes):
            own = score * (kind == index)
            steps[index] = reject_step(own, self._min_area[index])
        return steps


def reaches(areas: NDArray[np.int64], min_area_px: Sequence[int]) -> NDArray[np.bool_]:
    """Which kinds have a defect of at least their minimum area; arrays are indexed by kind, index 0 is False."""
    reached = areas >= np.maximum(1, min_area_px)
    reached[0] = False
    return np.asarray(reached, np.bool_)
