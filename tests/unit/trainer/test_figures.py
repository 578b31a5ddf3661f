"""Figures of an evaluation and the choice of thresholds, against results worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from inspector.config.recipe import ClassRule, LoadedRecipe, Recipe
from inspector.core.continuity import StripDefects
from inspector.core.defects import find_candidates, find_components
from inspector.core.judge import judge as line_judge
from inspector.core.rules import EngineClasses
from inspector.values import Decision, Pixels, Segmentation
from trainer.evaluation.calibration import Reliability
from trainer.evaluation.defect_hits import DefectHits, box_iou
from trainer.evaluation.frame_recall import FrameRecall
from trainer.evaluation.frame_verdict import FrameJudge, reject_step
from trainer.evaluation.histogram import histogram
from trainer.evaluation.intervals import counted, wilson
from trainer.evaluation.metrics import Tally, collapse, confusion, dice_of, iou_of
from trainer.evaluation.operating_curve import OperatingCurve
from trainer.evaluation.predictors import Operation
from trainer.evaluation.thresholds import Maps, choose

CLASSES = ("normal", "a", "b")


def test_iou_and_dice_are_pooled_over_pixels() -> None:
    """One frame of eight pixels, worked out on paper."""
    truth = np.array([[0, 0, 0, 1], [1, 1, 2, 2]], np.uint8)
    answer = np.array([[0, 0, 1, 1], [1, 0, 1, 2]], np.uint8)
    counts = confusion(truth, answer, 3)
    assert iou_of(counts) == [2 / 4, 2 / 5, 1 / 2]
    assert dice_of(counts) == [4 / 6, 4 / 7, 2 / 3]
    assert iou_of(collapse(counts)) == [2 / 4, 4 / 6]


@pytest.mark.parametrize("classes", [3, 16, 17, 200])
def test_the_confusion_of_few_and_of_many_classes_is_counted_alike(classes: int) -> None:
    """A pair of classes fits a byte up to 16 of them."""
    random = np.random.default_rng(classes)
    truth, answer = random.integers(0, classes, (2, 30, 40)).astype(np.uint8)
    expected = np.zeros((classes, classes), np.int64)
    np.add.at(expected, (truth, answer), 1)
    assert (confusion(truth, answer, classes) == expected).all()


def test_a_histogram_counts_every_pixel_where_asked() -> None:
    """Against numpy, a view with gaps included."""
    pixels = np.random.default_rng(1).integers(0, 256, (50, 80)).astype(np.uint8)
    where = (pixels > 100).astype(np.uint8)
    assert (histogram(pixels) == np.bincount(pixels.ravel(), minlength=256)).all()
    assert (histogram(pixels, where) == np.bincount(pixels[pixels > 100], minlength=256)).all()
    assert (histogram(pixels[:, 3:40]) == np.bincount(pixels[:, 3:40].ravel(), minlength=256)).all()
    assert histogram(np.zeros((0, 4), np.uint8)).sum() == 0


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
    assert (figures["frames"], figures["defective_frames"], figures["good_frames"]) == (5, 2, 3)
    assert figures["overkill_interval"] == list(wilson(1, 3) or ())
    # Kind a: 1, 0, 0, 1, 1; kind b: always 1.
    assert figures["kaggle_dice"] == pytest.approx((3 + 5) / 10)


def test_without_a_frame_of_its_kind_a_share_is_0_and_has_no_interval() -> None:
    """The schema wants a number; the count beside it says what it is worth."""
    tally = Tally.empty(CLASSES)
    tally.add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), rejected=False)
    figures = tally.figures()
    assert (figures["escape"], figures["defective_frames"], figures["escape_interval"]) == (0.0, 0, None)
    assert counted(0, 0) == {"count": 0, "of": 0, "share": None, "interval": None}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 10, 0.0179, 0.4042), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    """Against published values (R, prop.test without continuity correction)."""
    assert wilson(count, of) == pytest.approx((low, high), abs=5e-5)


def test_labelled_defects_are_hit_by_any_kind_and_counted_by_size() -> None:
    """A large one of the right kind, a middling one touched at a corner by another kind, a small one missed."""
    label = np.zeros((60, 60), np.uint8)
    label[5:25, 5:25] = 1  # 400 px
    label[40:52, 5:17] = 1  # 144 px
    label[40:44, 40:44] = 2  # 16 px
    mask = np.zeros_like(label)
    mask[7:27, 5:25] = 1
    mask[51:53, 16:18] = 2
    mask[0:2, 50:60] = 2  # touches nothing
    hits = DefectHits()
    hits.add(label, mask)
    figures = hits.figures()
    assert [(row["from_px"], row["count"], row["of"]) for row in figures["defects_by_size"]] == [
        *((1, 0, 1), (100, 1, 1), (300, 1, 1)),
    ]
    assert (figures["defects"]["count"], figures["defects"]["of"]) == (2, 3)
    assert (figures["invented_defects"]["count"], figures["invented_defects"]["of"]) == (1, 3)
    boxes = figures["boxes"]
    assert boxes["matched"] == 1  # the other pair that overlaps is of two kinds
    assert boxes["centre_distance_px"]["median"] == 2.0
    assert boxes["iou"]["median"] == pytest.approx(18 / 22)


def test_a_defect_inside_the_box_of_another_is_not_mistaken_for_it() -> None:
    """A ring that was missed around a spot of the same kind that was hit."""
    label = np.zeros((40, 40), np.uint8)
    label[5:35, 5:35] = 1
    label[8:32, 8:32] = 0
    label[18:22, 18:22] = 1
    mask = np.zeros_like(label)
    mask[19, 19] = 1
    hits = DefectHits()
    hits.add(label, mask)
    assert hits.figures()["defects"]["count"] == 1
    assert [row["count"] for row in hits.figures()["defects_by_size"]] == [1, 0]


def test_each_box_is_matched_once_and_to_its_best() -> None:
    """Two labelled, two found, one of which overlaps both."""
    assert box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert box_iou((0, 0, 10, 10), (10, 0, 10, 10)) == 0.0
    label = np.zeros((20, 60), np.uint8)
    label[2:12, 2:12] = label[2:12, 20:30] = 1
    mask = np.zeros_like(label)
    mask[2:12, 2:24] = 1  # IoU 0.45 with the left, 0.14 with the right
    mask[13:15, 28:30] = 1  # beside the right one, no overlap
    hits = DefectHits()
    hits.add(label, mask)
    assert hits.ious == [pytest.approx(100 / 220)]


def test_scores_that_mean_what_they_say_have_no_calibration_error() -> None:
    """Of 255 pixels scored 51 (20 %) a fifth is defect; with none of them defect the error is that fifth."""
    label, score = np.zeros((5, 51), np.uint8), np.full((5, 51), 51, np.uint8)
    label[0] = 1
    honest, boastful = Reliability(), Reliability()
    honest.add(label, score)
    boastful.add(np.zeros_like(label), score)
    assert honest.figures()["error"] == pytest.approx(0.0, abs=1e-12)
    assert boastful.figures()["error"] == pytest.approx(0.2)
    boastful.add(np.zeros_like(label), np.zeros_like(score))
    assert boastful.figures()["error"] == pytest.approx(0.1)
    assert boastful.figures()["error_of_doubtful"] == pytest.approx(0.2)
    rows = boastful.curve()
    assert [(row["pixels"], row["defect_share"]) for row in rows] == [(255, 0.0), (255, 0.0)]
    assert Reliability().figures()["error"] is None


def test_frames_of_a_class_count_as_rejected_whatever_for_and_apart_as_it() -> None:
    """Three frames show a; one is rejected as b, one as a, one not at all."""
    recall = FrameRecall.empty(CLASSES)
    shows_a = np.array([False, True, False])
    for rejecting in ([False, False, True], [False, True, False], [False, False, False]):
        recall.add(shows_a, np.array(rejecting))
    figures = recall.figures()
    assert (figures["a"]["count"], figures["a"]["of"], figures["a"]["named"]["count"]) == (2, 3, 1)
    assert figures["b"]["share"] is None


@pytest.mark.parametrize("min_area", [0, 9, 10, 40, 145])
def test_the_reject_step_is_the_last_threshold_that_rejects(min_area: int) -> None:
    """Against every threshold tried one by one, on blobs of noise."""
    random = np.random.default_rng(3)
    score = random.integers(0, 120, (40, 40)).astype(np.uint8)
    score[4:16, 4:16] = random.integers(90, 200, (12, 12))
    judge_of = [FrameJudge(Operation(CLASSES[:2], {"a": step / 255}, {"a": min_area})) for step in range(256)]
    maps = Segmentation(np.ones_like(score), score, 1)
    rejecting = [step for step in range(13, 256) if judge_of[step].judge(maps, 40, 40).rejected]
    assert reject_step(score, min_area) == max(rejecting, default=0)


def test_the_curve_holds_what_judging_at_moved_thresholds_gives() -> None:
    """Random frames of two kinds, judged again at every point of the curve."""
    random = np.random.default_rng(5)
    labels = np.zeros((24, 16, 16), np.uint8)
    labels[:8, 2:8, 2:8], labels[8:12, 2:8, 2:8] = 1, 2
    kind = random.integers(1, 3, labels.shape).astype(np.uint8)
    score = random.integers(0, 160, labels.shape).astype(np.uint8)
    score[labels > 0] += random.integers(0, 90, int((labels > 0).sum())).astype(np.uint8)
    thresholds, areas = {"a": 0.6, "b": 0.5}, {"a": 5, "b": 2}
    judge = FrameJudge(Operation(CLASSES, thresholds, areas))
    curve = OperatingCurve(CLASSES, judge.score_thresholds)
    maps = [Segmentation(kind[i], score[i], 1) for i in range(len(labels))]
    for label, one in zip(labels, maps, strict=True):
        steps = judge.reject_steps(one, 16, 16)
        present = np.array([False, (label == 1).any(), (label == 2).any()])
        curve.add(present, steps, judge.reject_shift(one, 16, 16, steps))
    figures = curve.figures()
    points = figures["common_shift"]["points"]
    assert len(points) > 5
    assert figures["common_shift"]["chosen"] in points
    for point in points:
        moved = {
            name: max(13, round(255 * value) + round(255 * point["shift"])) for name, value in thresholds.items()
        }
        judge = FrameJudge(Operation(CLASSES, {n: min(step, 255) / 255 for n, step in moved.items()}, areas))
        rejected = np.array([judge.judge(one, 16, 16).rejected for one in maps])
        assert point["escape"] == pytest.approx((~rejected[:12]).mean())
        assert point["overkill"] == pytest.approx(rejected[12:].mean())
    own = figures["by_class"]["b"]
    assert (own["defective_frames"], own["good_frames"]) == (4, 12)
    assert own["chosen"]["threshold"] == pytest.approx(0.5, abs=0.003)


def test_the_trainer_judges_as_the_line_does() -> None:
    """Random maps at every stride, kinds that touch: the same frames are rejected, and by the same kinds."""
    random = np.random.default_rng(11)
    thresholds, areas = {"a": 0.6, "b": 0.7}, {"a": 30, "b": 22}
    judge = FrameJudge(Operation(CLASSES, thresholds, areas))
    engine = EngineClasses("e@1", CLASSES, (1.0, 0.6, 0.7), (0, 30, 22))
    recipe = Recipe(
        name="r", mm_per_px_across=1.0, mm_per_px_along=1.0, classes={"a": ClassRule(), "b": ClassRule()}
    )
    bound = LoadedRecipe(Path("r.toml"), recipe, "1").bind(engine)
    joined = 0
    for index in range(300):
        stride = (1, 2, 4)[index % 3]
        shape = (32 // stride, 48 // stride)
        kind = random.integers(1, 3, shape).astype(np.uint8)
        score = (random.integers(0, 256, shape) * (random.random(shape) < 0.35)).astype(np.uint8)
        maps = Segmentation(kind, score, stride)
        found = find_candidates(maps, 32, 48, bound.score_thresholds)
        regions = find_components(found, bound.min_area_px, bound.rejects)
        judgement = line_judge(StripDefects("top").follow(0, regions.found), 0.0, bound, regions.crowded)
        verdict = judge.judge(maps, 32, 48)
        assert verdict.rejected == (judgement.decision is Decision.REJECT)
        assert set(np.flatnonzero(verdict.rejecting)) == {defect.kind for defect in judgement.defects}
        joined += any(each.joined for each in regions.found)
    assert joined > 20


def test_calibration_counts_doubtful_pixels_far_from_every_candidate() -> None:
    """The verdict's score is that of the whole frame."""
    score = np.zeros((40, 40), np.uint8)
    score[2:6, 2:6], score[30:34, 30:34] = 200, 90
    judge = FrameJudge(Operation(CLASSES[:2], {"a": 0.5}, {"a": 1}))
    verdict = judge.judge(Segmentation(np.ones_like(score), score, 1), 40, 40)
    assert np.array_equal(verdict.score, score)
    reliability = Reliability()
    reliability.add(np.zeros_like(score), verdict.score)
    assert reliability.pixels[0, 90] == 16


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


def _joint(specks: int) -> Maps:
    """Defects of 100 px with a bright core; some good frames have large dim specks that only a higher threshold
    takes away: raising it from the best mask's 100 to over 120 costs the mask its dim rim."""
    labels = np.zeros((40, 32, 32), np.uint8)
    score = np.full(labels.shape, 40, np.uint8)
    labels[:20, 4:14, 4:14] = 1
    score[:20, 4:14, 4:14] = 110
    score[:20, 4:12, 4:14] = 220
    score[20 : 20 + specks, 4:14, 15:25] = 125
    score[20 : 20 + specks, 4:14, 15:17] = 40
    return Maps(labels, np.ones_like(score), score, 1)


def test_threshold_and_area_move_together_where_that_saves_more_than_a_frame() -> None:
    """An area over the specks' 80 px would spare them just as well, so nothing moves; with specks as large as
    the defects only a threshold helps."""
    maps = _joint(specks=2)
    assert choose(CLASSES, maps, 10.0, 1.0).min_area_px["a"] == 81
    maps.score[20:22, 4:15, 15:25] = 125
    operation = choose(CLASSES, maps, 10.0, 1.0)
    assert 125 < operation.thresholds["a"] * 255 < 220
    assert operation.min_area_px["a"] == 0


def test_a_single_good_frame_does_not_move_a_threshold() -> None:
    """One frame more or less is chance."""
    maps = _joint(specks=1)
    maps.score[20, 4:15, 15:25] = 125
    alone = choose(CLASSES, maps, 10.0, 1.0).thresholds["a"]
    maps.score[20] = 40
    assert choose(CLASSES, maps, 10.0, 1.0).thresholds["a"] == alone


def test_a_class_that_no_frame_shows_keeps_the_default() -> None:
    """Nothing can be chosen for it."""
    labels, kind, score = _maps()
    operation = choose(CLASSES, Maps(labels, kind, score, 1), 10.0, 1.0)
    assert operation.thresholds["b"] == 0.5
    assert operation.min_area_px["b"] == 0
