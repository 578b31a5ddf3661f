"""Metrics and the choice of thresholds, against results worked out by hand."""

import numpy as np
import pytest

from inspector.values import Pixels
from trainer.metrics import Tally, collapse, confusion, dice_of, iou_of
from trainer.thresholds import Maps, choose

CLASSES = ("normal", "a", "b")


def test_iou_and_dice_are_pooled_over_pixels() -> None:
    """One frame of eight pixels, worked out on paper."""
    truth = np.array([[0, 0, 0, 1], [1, 1, 2, 2]], np.uint8)
    answer = np.array([[0, 0, 1, 1], [1, 0, 1, 2]], np.uint8)
    counts = confusion(truth, answer, 3)
    assert iou_of(counts) == [2 / 4, 2 / 5, 1 / 2]
    assert dice_of(counts) == [4 / 6, 4 / 7, 2 / 3]
    assert iou_of(collapse(counts)) == [2 / 4, 4 / 6]


def test_a_class_in_neither_truth_nor_answer_has_no_figure() -> None:
    """It does not count as 0 or 1 in the mean."""
    truth = np.array([[0, 1]], np.uint8)
    assert iou_of(confusion(truth, truth, 3)) == [1.0, 1.0, None]
    tally = Tally.empty(CLASSES)
    tally.add(truth, truth, rejected=True)
    assert tally.figures()["miou"] == 1.0
    assert tally.figures()["iou"]["b"] is None


def test_escape_and_overkill_are_shares_of_defective_and_of_good_frames() -> None:
    """Two defective frames, one let through; three good ones, one cut out. Empty on empty is Dice 1."""
    tally = Tally.empty(CLASSES)
    good, bad = np.zeros((1, 4), np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    tally.add(bad, bad, rejected=True)
    tally.add(bad, good, rejected=False)
    tally.add(good, bad, rejected=True)
    tally.add(good, good, rejected=False)
    tally.add(good, good, rejected=False)
    figures = tally.figures()
    assert figures["escape"] == 1 / 2
    assert figures["overkill"] == 1 / 3
    assert figures["frames"] == 5
    # Kind a: 1, 0, 0, 1, 1; kind b: always 1.
    assert figures["kaggle_dice"] == pytest.approx((3 + 5) / 10)


def _maps() -> tuple[Pixels, Pixels, Pixels]:
    """Forty frames: kind 1 scores 100 where it is and 60 on steel; good frames have specks of 9 px at 200."""
    labels = np.zeros((40, 32, 32), np.uint8)
    score = np.full((40, 32, 32), 60, np.uint8)
    kind = np.ones_like(score)
    labels[:20, 4:16, 4:16] = 1
    score[:20, 4:16, 4:16] = 100
    score[20:, 20:23, 20:23] = 200
    return labels, kind, score


def test_the_threshold_lies_between_the_scores_of_steel_and_defect() -> None:
    """Any step from 61 to 100 separates them; the middle of the plateau is taken."""
    labels, kind, score = _maps()
    operation = choose(CLASSES, Maps(labels, kind, score, 1), 10.0, 1.0)
    assert operation.thresholds["a"] * 255 == pytest.approx(80, abs=1)


def test_the_minimum_area_spares_good_frames_with_specks() -> None:
    """Just over the speck, 9 px, and no larger: the defects, 144 px, are all caught."""
    labels, kind, score = _maps()
    operation = choose(CLASSES, Maps(labels, kind, score, 1), 10.0, 1.0)
    assert operation.min_area_px["a"] == 10


def test_dear_escapes_keep_the_minimum_area_down() -> None:
    """Where specks and small defects look alike, the costs decide."""
    labels, kind, score = _maps()
    labels[:5], score[:5] = 0, 60
    labels[:5, 4:6, 4:6], score[:5, 4:6, 4:6] = 1, 100  # five defects smaller than the twenty specks
    maps = Maps(labels, kind, score, 1)
    assert choose(CLASSES, maps, 10.0, 1.0).min_area_px["a"] == 0
    assert choose(CLASSES, maps, 1.0, 1.0).min_area_px["a"] == 10


def test_a_class_that_no_frame_shows_keeps_the_default() -> None:
    """Nothing can be chosen for it."""
    labels, kind, score = _maps()
    operation = choose(CLASSES, Maps(labels, kind, score, 1), 10.0, 1.0)
    assert operation.thresholds["b"] == 0.5
    assert operation.min_area_px["b"] == 0
