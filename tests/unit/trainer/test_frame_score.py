"""Frame thresholds for a stated escape, thresholds for a budget of false rejects."""

import numpy as np
import pytest

from inspector.values import frame_step
from trainer.evaluation.budget import within_budget
from trainer.evaluation.frame_score import FrameScores, auc
from trainer.evaluation.frame_verdict import FrameJudge
from trainer.evaluation.predictors import Operation
from trainer.evaluation.thresholds import Maps


def scores(defective: list[int], sound: list[int]) -> FrameScores:
    known = FrameScores()
    for step in defective:
        known.add(step, defective=True, rejected=True)
    for step in sound:
        known.add(step, defective=False, rejected=True)
    return known


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25])
def test_at_most_the_stated_share_of_defective_frames_falls_below(share: float) -> None:
    """And the next higher threshold would let one more pass."""
    known = scores(list(range(40, 60)), list(range(10, 50)))
    step = frame_step(known.choose(share))
    missed = sum(each < step for each in range(40, 60))
    assert missed == int(share * 20)
    assert sum(each < step + 1 for each in range(40, 60)) > share * 20


def test_a_threshold_is_chosen_for_every_step() -> None:
    """The number on the card reaches the frame that it was chosen on: rounding never loses a defect."""
    for step in range(1, 256):
        assert frame_step(scores([step], [1]).choose(0.0)) == step


def test_escape_and_overkill_with_the_score() -> None:
    """A region rejects only if the score reaches the threshold; a NaN score rejects."""
    known = scores([200, 100], [50, 150, 0])
    known.add(250, defective=True, rejected=False)
    figures = known.figures(0.5)
    assert (figures["escapes"], figures["overkills"]) == (2, 2)
    assert figures["auc"] == pytest.approx((3 + 2 + 3) / 9)
    assert auc(np.array([1]), np.array([], int)) is None


def test_without_a_defective_frame_no_frame_falls_below() -> None:
    """Nothing says where defects begin."""
    assert scores([], [10, 20]).choose(0.1) == 0.0


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.5])
def test_the_budget_of_false_rejects_is_used_and_kept(budget: float) -> None:
    """One score step lower, a sound frame more would be rejected."""
    frames, side = 20, 16
    labels = np.zeros((frames + 1, side, side), np.uint8)
    labels[-1, :8] = 1
    score = np.zeros_like(labels)
    for index in range(frames):
        score[index, 4:8, 4:8] = 60 + 9 * index
    score[-1, :8] = 255
    maps = Maps(labels, np.ones_like(labels), score, 1)
    start = Operation(("normal", "a"), {"a": 0.3}, {"a": 9})

    def rejected(operation: Operation) -> int:
        judge = FrameJudge(operation)
        return sum(judge.judge(maps.segmentation(index), side, side).rejected for index in range(frames))

    chosen = within_budget(start, maps, budget)
    assert rejected(chosen) == int(budget * frames)
    lower = Operation(chosen.classes, {"a": chosen.thresholds["a"] - 1 / 255}, chosen.min_area_px)
    assert rejected(lower) > budget * frames
