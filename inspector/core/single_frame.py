"""Judges one frame with the line's functions, but without the frames before it."""

import msgspec
import numpy as np

from inspector.core.continuity import StripDefects
from inspector.core.defects import find_candidates, find_components
from inspector.core.judge import Judgement, judge
from inspector.core.rules import BoundRecipe
from inspector.values import MAX_SCORE, Decision, Pixels, Segmentation


class FrameFindings(msgspec.Struct, frozen=True):
    """What one frame shows."""

    judgement: Judgement
    mask: Pixels
    """uint8 [H, W]: the class where the score reaches its threshold, else 0."""

    @property
    def rejected(self) -> bool:
        """Whether the recipe rejects the frame."""
        return self.judgement.decision is Decision.REJECT


def judge_alone(
    maps: Segmentation, height: int, width: int, recipe: BoundRecipe, frame_score: int | None = None
) -> FrameFindings:
    """Judge the maps and the frame score of one frame of `height` × `width` px."""
    candidates = find_candidates(maps, height, width, recipe.score_thresholds)
    components = find_components(candidates, recipe.min_area_px, recipe.rejects)
    parts = StripDefects("").follow(0, components.found)
    judgement = judge(parts, 0.0, recipe, components.crowded, None, frame_score)
    return FrameFindings(judgement, candidates.in_frame(candidates.mask))


def judge_mask(mask: Pixels, recipe: BoundRecipe, frame_score: int | None = None) -> FrameFindings:
    """Judge a mask of classes, uint8 [H, W], as if every marked pixel were certain."""
    score = np.where(mask > 0, MAX_SCORE, 0).astype(np.uint8)
    height, width = mask.shape
    return judge_alone(Segmentation(np.ascontiguousarray(mask), score, 1), height, width, recipe, frame_score)
