"""Mask and decision of a single frame, by the line's own functions, and the thresholds that would change it."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.defects import Candidates, enlarge, find_candidates, find_components
from inspector.core.rules import score_thresholds
from inspector.values import MAX_SCORE, Pixels, Segmentation
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
    """uint8 [H, W], of every pixel: calibration counts the doubtful ones, too."""
    rejecting: NDArray[np.bool_]
    """bool [classes]: kinds with a defect of at least their minimum area."""

    @property
    def rejected(self) -> bool:
        """Whether any kind rejects the frame."""
        return bool(self.rejecting.any())


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
        return FrameVerdict(
            found.in_frame(found.mask), enlarge(segmentation, height, width)[1], self._rejecting(found)
        )

    def _rejecting(self, found: Candidates) -> NDArray[np.bool_]:
        """Which kinds reject, bool [classes]: the line's own regions and minimum areas."""
        components = find_components(found, self._min_area)
        rejecting = np.zeros(self._classes, np.bool_)
        rejecting[list(components.crowded)] = True
        for component in components.found:
            least = min(self._min_area[kind] for kind in component.joined or (component.kind,))
            rejecting[component.kind] |= component.area_px >= least
        return rejecting

    def reject_steps(self, segmentation: Segmentation, height: int, width: int) -> Pixels:
        """By kind, the highest threshold that still rejects the frame, uint8 [classes]; see `reject_step`."""
        kind, score = enlarge(segmentation, height, width)
        steps = np.zeros(self._classes, np.uint8)
        for index in range(1, self._classes):
            own = score * (kind == index)
            steps[index] = reject_step(own, self._min_area[index])
        return steps

    def reject_shift(self, segmentation: Segmentation, height: int, width: int, steps: Pixels) -> int | None:
        """The greatest common shift of all thresholds, score steps, at which the frame is rejected.

        None if no shift rejects it. `steps` is `reject_steps`, which knows each kind alone; small regions of
        several kinds that touch can reject a frame that no kind rejects.
        """
        kind, score = enlarge(segmentation, height, width)
        thresholds = self.score_thresholds.astype(np.int64)
        never = LOWEST_REJECT_STEP - int(thresholds[1:].max()) - 1  # every threshold is at its lowest above this
        alone = [int(step) - int(own) for step, own in zip(steps[1:], thresholds[1:], strict=True) if step]
        low, high = max(alone, default=never), MAX_SCORE + 1 - int(thresholds[1:].min())

        def rejects(shift: int) -> bool:
            moved = np.clip(thresholds + shift, LOWEST_REJECT_STEP, MAX_SCORE + 1)
            mask = np.where(score >= moved[kind], kind, 0).astype(np.uint8)
            return bool(self._rejecting(Candidates(mask, score, 0, 0, (height, width))).any())

        if low < high and rejects(low + 1):
            low += 1
            while low < high:  # regions only grow as the thresholds fall: rejects at low, not above high
                middle = (low + high + 1) // 2
                low, high = (middle, high) if rejects(middle) else (low, middle - 1)
        return low if low > never else None
