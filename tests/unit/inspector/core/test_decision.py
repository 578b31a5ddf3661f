"""From maps to verdict: mask, components, defects over frame borders, the recipe's rules, readable reasons."""

import dataclasses
import time
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from inspector.core.continuity import REACH_PX, StripDefects
from inspector.core.defects import MAX_COMPONENTS, Candidates, Component, enlarge, find_candidates, find_components
from inspector.core.judge import Judgement, judge, shorten
from inspector.core.ledger import LOST_ANNOUNCEMENT, Settled
from inspector.core.rules import BoundRecipe, score_thresholds, threshold_maps
from inspector.core.verdicts import LEAST_LISTED, Quota, VerdictMaker
from inspector.numbers import thousands
from inspector.values import Announcement, Code, Decision, Inspection, Pixels, Segmentation, Uninspected

FAILED = Uninspected(Code.ENGINE_FAILED, "engine failed")
CLASSES = ("normal", "scratch", "stain")


def recipe(min_area_mm2: float = 50.0) -> BoundRecipe:
    return BoundRecipe(
        identity="r@1",
        names=CLASSES,
        rejects=(False, True, False),
        min_area_mm2=(0.0, min_area_mm2, 0.0),
        score_thresholds=score_thresholds(CLASSES, {"scratch": 0.5, "stain": 0.8}),
        mm_per_px_across=0.5,
        mm_per_px_along=0.25,
    )


def mask_with(*boxes: tuple[int, int, int, int, int], height: int = 100, width: int = 200) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    for kind, x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = kind
    return mask


def components(mask: Pixels, min_area_px: tuple[float, ...] = ()) -> list[Component]:
    return find_components(
        Candidates(mask, np.where(mask > 0, 204, 0).astype(np.uint8), 0, 0, mask.shape), min_area_px
    ).found


def shown(component: Component) -> dict[str, Any]:
    """A component's fields, comparable with ==."""
    fields = msgspec.structs.asdict(component)
    return {name: field.tolist() if isinstance(field, np.ndarray) else field for name, field in fields.items()}


def shown_all(candidates: Candidates) -> list[dict[str, Any]]:
    return [shown(each) for each in find_components(candidates).found]


def test_threshold_is_per_class() -> None:
    """A pixel is a defect if its score reaches the threshold of its kind."""
    kind = np.array([[1, 1, 2, 2]], np.uint8)
    score = np.array([[127, 128, 203, 204]], np.uint8)
    assert threshold_maps(kind, score, recipe().score_thresholds).tolist() == [[0, 1, 0, 2]]


def test_zero_threshold_leaves_score_zero_normal() -> None:
    """However low the threshold, a pixel without any score is normal."""
    steps = score_thresholds(("normal", "a"), {"a": 0.001})
    assert threshold_maps(np.ones((1, 1), np.uint8), np.zeros((1, 1), np.uint8), steps).item() == 0


def test_maps_are_enlarged_to_the_frame() -> None:
    """Kind is enlarged by nearest neighbour (never a class in between), score bilinear."""
    kind = np.array([[1, 3]], np.uint8)
    score = np.array([[0, 200]], np.uint8)
    big_kind, big_score = enlarge(Segmentation(kind, score, 4), 4, 8)
    assert sorted(np.unique(big_kind)) == [1, 3]
    assert big_score.shape == (4, 8)
    assert np.all(np.diff(big_score[0].astype(int)) >= 0)
    assert 0 < big_score[0, 3] < 200


def test_components_have_exact_geometry() -> None:
    """Box, area, centre and score are those of the region, in frame coordinates."""
    (component,) = components(mask_with((1, 40, 20, 10, 5)))
    assert component.box == (40, 20, 10, 5)
    assert component.area_px == 50
    assert component.centre_px == (44.5, 22.0)
    assert component.score == pytest.approx(0.8)
    assert component.top.size == component.bottom.size == 0


def test_touching_kinds_are_separate_components() -> None:
    """Two kinds side by side are two defects; diagonal neighbours of one kind are one."""
    found = components(mask_with((1, 10, 10, 5, 5), (2, 15, 10, 5, 5), (1, 5, 15, 5, 5)))
    assert [(each.kind, each.area_px) for each in found] == [(1, 50), (2, 25)]


def test_an_empty_mask_has_no_components() -> None:
    """No defect pixels, no work."""
    assert components(mask_with()) == []


def test_judge_gives_place_on_the_strip_and_a_readable_reason() -> None:
    """Area in mm², across and along in mm from the strip's start, and a reason a person can act on."""
    parts = StripDefects("top").follow(0, components(mask_with((1, 100, 40, 40, 20))))
    decision, reasons, _, (defect,) = judge(parts, 4000.0, recipe())
    assert decision is Decision.REJECT
    assert defect.area_mm2 == 100.0
    assert defect.across_mm == 60.0
    assert defect.along_mm == 4012.5
    assert defect.name == "scratch"
    assert reasons == ("scratch 100 mm² at 4.013 m, 60 mm across: over 50 mm²",)


def test_small_defects_are_left_out_and_recorded_ones_pass() -> None:
    """A defect below the minimum area is not reported; a class with action record is reported and accepted."""
    parts = StripDefects("top").follow(0, components(mask_with((1, 0, 40, 4, 4), (2, 100, 40, 40, 20))))
    decision, reasons, _, defects = judge(parts, 0.0, recipe())
    assert decision is Decision.ACCEPT
    assert reasons == ()
    assert [defect.name for defect in defects] == ["stain"]


def test_a_defect_over_a_border_is_one_defect() -> None:
    """Its parts carry one id, over any number of frames, and are judged by their area together."""
    strip = StripDefects("top")
    first = strip.follow(0, components(mask_with((1, 50, 90, 20, 10))))
    second = strip.follow(1, components(mask_with((1, 50, 0, 20, 100))))
    third = strip.follow(2, components(mask_with((1, 50, 0, 20, 2))))
    ids = {part.defect_id for part in first + second + third}
    assert ids == {"top-0-1"}
    decision, reasons, _, defects = judge(third, 50.0, recipe())
    assert decision is Decision.REJECT, "the last part alone is under the minimum area"
    assert defects[0].area_px == 40
    assert "(280 mm² with the frames before)" in reasons[0]


def test_border_parts_join_only_when_near_and_of_one_kind() -> None:
    """Another kind, or a gap wider than the reach, is another defect."""
    strip = StripDefects("top")
    (before,) = strip.follow(0, components(mask_with((1, 50, 90, 20, 10))))
    after = strip.follow(
        1, components(mask_with((2, 50, 0, 20, 10), (1, 70 + REACH_PX - 1, 0, 5, 5), (1, 120, 0, 5, 5)))
    )
    assert [part.defect_id == before.defect_id for part in after] == [True, False, False]


def test_two_defects_that_meet_become_the_first() -> None:
    """A V that closes in the next frame is one defect from then on."""
    strip = StripDefects("top")
    left, _ = strip.follow(0, components(mask_with((1, 20, 90, 10, 10), (1, 60, 90, 10, 10))))
    (joined,) = strip.follow(1, components(mask_with((1, 20, 0, 50, 10))))
    assert joined.defect_id == left.defect_id
    assert joined.area_so_far_px == 100 + 100 + 500


def test_an_uninspected_frame_ends_a_defect() -> None:
    """The strip in between was not inspected, so the next defect is a new one."""
    strip = StripDefects("top")
    (before,) = strip.follow(0, components(mask_with((1, 50, 90, 20, 10))))
    (after,) = strip.follow(2, components(mask_with((1, 50, 0, 20, 10))))
    assert before.defect_id != after.defect_id


def announcement(frame_id: int, **changes: Any) -> Announcement:
    values: dict[str, Any] = {
        "camera": "top", "ingest_epoch": 1, "frame_id": frame_id, "captured_ns": 1, "captured_monotonic_ns": 0,
        "position_mm": 25.0 * frame_id,
        "height": 100, "coil": "C1",
    }  # fmt: skip
    return Announcement(**values | changes)


@pytest.mark.parametrize(
    ("next_recipe", "decision"), [("", "accept"), ("lax@1", "accept"), ("strict@1", "reject")]
)
def test_a_frame_in_which_a_coil_begins_is_judged_by_its_plan_too(next_recipe: str, decision: str) -> None:
    """The coil before allows what the new one does not; nobody may see which of them the defect is on."""
    lax = dataclasses.replace(recipe(), identity="lax@1", rejects=(False, False, False))
    strict = dataclasses.replace(recipe(), identity="strict@1")
    maker = VerdictMaker("top", {"e@1": {"lax@1": lax, "strict@1": strict}}, "e@1")
    mask = mask_with((1, 10, 10, 40, 40))
    score = np.where(mask > 0, 255, 0).astype(np.uint8)
    seen = Inspection("e@1", 1, 2, 3, Segmentation(np.maximum(mask, 1), score, 1), mask)
    said = announcement(0, recipe="lax@1", next_recipe=next_recipe)
    verdict = maker.make(Settled(0, said, seen, None), 10).verdict
    assert (verdict.decision, verdict.recipe) == (decision, f"{'strict' if decision == 'reject' else 'lax'}@1")


def test_verdict_maker_covers_clean_reject_fault_and_lost() -> None:
    """Every settled frame has a verdict, also one whose announcement was lost: its place is worked out."""
    maker = VerdictMaker("top", {engine: {"": recipe()} for engine in ("e@1", "e@2")}, "e@1")
    clean = maker.make(Settled(0, announcement(0), Inspection("e@2", 1, 2, 3), None), 5_000_000).verdict
    assert (clean.decision, clean.engine, clean.stage_ms["total"]) == (Decision.ACCEPT, "e@2", 5.0)
    mask = mask_with((1, 10, 10, 40, 40))
    seen = Inspection(
        "e@2", 1, 2, 3, Segmentation(np.maximum(mask, 1), np.where(mask > 0, 255, 0).astype(np.uint8), 1), mask
    )
    outcome = maker.make(Settled(1, announcement(1), seen, None), 10)
    assert outcome.verdict.decision is Decision.REJECT
    assert np.array_equal(outcome.mask(), mask)  # type: ignore[arg-type]
    failed = maker.make(Settled(2, announcement(2), Inspection("e@2", 1, 2, 3, fault=FAILED), None), 10)
    assert (failed.verdict.decision, failed.verdict.reasons) == (Decision.UNINSPECTED, ("engine failed",))
    lost = maker.make(Settled(3, None, None, LOST_ANNOUNCEMENT), 10).verdict
    assert (lost.decision, lost.position_mm, lost.coil) == (Decision.UNINSPECTED, 75.0, "C1")


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_enlarging_only_the_candidates_changes_no_mask(stride: int) -> None:
    """The mask is the one that enlarging the whole frame gives, and so is the score wherever there is a defect."""
    rng = np.random.default_rng(stride)
    steps = recipe().score_thresholds
    for _ in range(50):
        kind = rng.integers(1, 3, (16, 40), dtype=np.uint8)
        score = np.zeros((16, 40), np.uint8)
        y, x = rng.integers(0, 12), rng.integers(0, 30)
        score[y : y + rng.integers(1, 5), x : x + rng.integers(1, 10)] = rng.integers(60, 256)
        score = np.maximum(score, rng.integers(0, 120, score.shape, dtype=np.uint8))
        maps = Segmentation(kind, score, stride)
        big_kind, big_score = enlarge(maps, 16 * stride, 40 * stride)
        wanted = threshold_maps(big_kind, big_score, steps)
        found = find_candidates(maps, 16 * stride, 40 * stride, steps)
        mask, part_score = found.in_frame(found.mask), found.in_frame(found.score)
        assert np.array_equal(mask, wanted)
        whole = Candidates(wanted, big_score, 0, 0, wanted.shape)
        assert shown_all(found) == shown_all(whole)
        assert np.array_equal(part_score[mask > 0], big_score[wanted > 0])


def test_small_regions_are_dropped_before_python_looks_at_them() -> None:
    """Small regions are dropped, except at a border, where they may be part of a larger one."""
    mask = mask_with(
        (1, 10, 10, 4, 4), (1, 40, 0, 4, 4), (1, 80, 96, 4, 4), (1, 120, 40, 10, 10), (2, 10, 60, 2, 2)
    )
    kept = components(mask, min_area_px=(0.0, 50.0, 0.0))
    assert [each.box[:2] for each in kept] == [(40, 0), (120, 40), (80, 96), (10, 60)]


def test_a_frame_with_too_many_defects_is_a_reject() -> None:
    """Spray leaves thousands of spots: the largest are listed, and their number alone rejects the frame."""
    mask = np.zeros((256, 1600), np.uint8)
    mask[4:250:8, 4::8] = 1
    mask[100:104, 100:110] = 1
    found = find_components(Candidates(mask, mask * 255, 0, 0, mask.shape), (0.0, 0.5, 0.0))
    assert len(found.found) == MAX_COMPONENTS
    count = found.crowded[1]
    assert count > 5000
    assert max(each.area_px for each in found.found) > 30
    parts = StripDefects("top").follow(0, found.found)
    judgement = judge(parts, 0.0, recipe(min_area_mm2=1e6), found.crowded)
    assert judgement.decision is Decision.REJECT
    assert judgement.reasons == (
        f"over {MAX_COMPONENTS} defects: {thousands(count)} scratch, the largest are listed",
    )
    assert judgement.codes == ("too_many_defects",)


def test_many_stripes_over_a_border_are_joined_at_once() -> None:
    """Each to its own, and in time: joining them pair by pair took two seconds a frame."""
    stripes = mask_with(
        *[(1, 12 * index, 0, 6, 100) for index in range(MAX_COMPONENTS)], width=12 * MAX_COMPONENTS
    )
    strip = StripDefects("top")
    first, second = (strip.follow(frame_id, components(stripes)) for frame_id in (0, 1))
    assert [part.defect_id for part in second] == [part.defect_id for part in first]
    assert all(part.continues for part in second)


def test_a_border_has_holes() -> None:
    """A part that passes on both sides of an open defect, out of reach, does not join it."""
    strip = StripDefects("top")
    strip.follow(0, components(mask_with((1, 50, 90, 4, 10))))
    (arch,) = strip.follow(1, components(mask_with((1, 20, 0, 10, 20), (1, 80, 0, 10, 20), (1, 20, 15, 70, 5))))
    assert not arch.continues


def test_dirty_steel_lists_the_largest_defects_and_counts_the_others() -> None:
    """The decision is the same; the log and the database get less."""
    boxes = [(1, 20 * index, 10, 4 + index, 10) for index in range(9)]
    judgement = judge(StripDefects("top").follow(0, components(mask_with(*boxes))), 0.0, recipe(1.0))
    short = shorten(judgement, 4)
    assert (short.decision, len(short.defects)) == (Decision.REJECT, 4)
    assert min(defect.area_px for defect in short.defects) == 90
    assert short.reasons[-1].startswith("and 5 smaller defects")
    assert len(short.reasons) == len(short.codes) == 5
    assert shorten(judgement, 9) is judgement


def test_a_quota_fills_up_again() -> None:
    """A second of clean steel, and the next dirty frame is listed whole."""
    quota = Quota(100.0)
    assert quota.take(80, 0) == 80
    assert quota.take(80, 0) == 20
    assert quota.take(80, 0) == LEAST_LISTED
    assert quota.take(80, 2_000_000_000) == 80
    assert Quota(None).take(5_000, 0) == 5_000


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("threshold", [0.5, 0.76, 0.88, 0.95, 1.0])
@pytest.mark.parametrize("cells", [[(7, 7)], [(7, x) for x in range(4, 30)], [(y, 9) for y in range(2, 14)],
                                   [(y, y + 3) for y in range(2, 14)]])  # fmt: skip
def test_a_cell_that_reaches_a_threshold_reaches_it_in_the_frame(
    stride: int, threshold: float, cells: list[tuple[int, int]]
) -> None:
    """Interpolation takes up to 44 % off a single cell: its pixels keep the cell's own score."""
    score = np.zeros((16, 40), np.uint8)
    score[tuple(np.array(cells).T)] = 255
    steps = score_thresholds(CLASSES, {"scratch": threshold, "stain": 1.0})
    found = find_candidates(Segmentation(np.ones_like(score), score, stride), 16 * stride, 40 * stride, steps)
    assert sum(each.area_px for each in find_components(found).found) >= len(cells) * stride**2


@pytest.mark.parametrize("stride", [2, 4])
def test_smooth_defects_keep_their_area(stride: int) -> None:
    """Where the neighbours score as high, a cell's own score changes nothing."""
    y, x = np.mgrid[:24, :60]
    score = np.clip(400 - 30 * np.hypot(y - 11.5, x - 29.5), 0, 255).astype(np.uint8)
    maps = Segmentation(np.ones_like(score), score, stride)
    bilinear = cv2.resize(score, (60 * stride, 24 * stride), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(enlarge(maps, 24 * stride, 60 * stride)[1], bilinear)


def judged(
    *masks: Pixels, min_area_px: tuple[float, ...], rejects: tuple[bool, ...] = (False, True, True)
) -> Judgement:
    """The judgement of the last of these frames, one below the other."""
    rule = BoundRecipe("r@1", CLASSES, rejects, tuple(map(float, min_area_px)), score_thresholds(
        CLASSES, {"scratch": 0.5, "stain": 0.5}), 1.0, 1.0)  # fmt: skip
    strip = StripDefects("top")
    for frame_id, mask in enumerate(masks):
        candidates = Candidates(mask, np.where(mask > 0, 204, 0).astype(np.uint8), 0, 0, mask.shape)
        found = find_components(candidates, rule.min_area_px, rule.rejects)
        judgement = judge(strip.follow(frame_id, found.found, rule.rejects), 0.0, rule, found.crowded)
    return judgement


def test_a_scratch_of_two_kinds_is_one_defect() -> None:
    """Each part is under the minimum of its kind, all of them together are not: kind, place and area are the
    whole's."""
    mask = mask_with((1, 20, 40, 30, 1), (2, 50, 40, 20, 1), (1, 70, 41, 10, 1))
    judgement = judged(mask, min_area_px=(0, 50, 60))
    assert judgement.decision is Decision.REJECT
    (defect,) = judgement.defects
    assert (defect.name, defect.area_px, defect.box) == ("scratch", 60, (20, 40, 60, 2))
    assert judgement.reasons == ("scratch 60 mm² at 0.041 m, 50 mm across: over 50 mm²",)


@pytest.mark.parametrize(
    "mask",
    [
        mask_with((1, 20, 40, 30, 1), (2, 52, 40, 20, 1)),
        mask_with((1, 20, 40, 30, 1), (2, 50, 40, 15, 1)),
        mask_with((1, 20, 40, 30, 1), (1, 52, 40, 30, 1)),
    ],
    ids=["apart", "too small together", "of one kind and apart"],
)
def test_small_parts_that_are_no_whole_are_left_out(mask: np.ndarray) -> None:
    """Regions are joined only if they touch and together reach a minimum."""
    assert judged(mask, min_area_px=(0, 50, 60)).decision is Decision.ACCEPT


def test_a_recorded_kind_adds_nothing_to_a_rejected_one() -> None:
    """A stain that is only recorded must not make a reject of a scratch beside it."""
    mask = mask_with((1, 20, 40, 30, 1), (2, 50, 40, 30, 1))
    assert judged(mask, min_area_px=(0, 50, 60), rejects=(False, True, False)).decision is Decision.ACCEPT


A, B = (1, 20, 70, 1, 30), (2, 20, 70, 1, 30)
UPPER = (1, 20, 70, 1, 18), (2, 20, 88, 1, 12)
LOWER = (2, 20, 0, 1, 12), (1, 20, 12, 1, 18)
BELOW_A, BELOW_B = (1, 20, 0, 1, 30), (2, 20, 0, 1, 30)


@pytest.mark.parametrize(
    "frames",
    [
        ([A], [BELOW_B]),
        ([B], [BELOW_A]),
        (UPPER, [BELOW_A]),
        (UPPER, [BELOW_B]),
        ([A], LOWER),
        ([(1, 20, 60, 1, 40)], [(1, 20, 0, 1, 5), (2, 20, 5, 1, 10)]),
        ([(1, 20, 20, 1, 80)], [(2, 20, 0, 1, 5)]),
        ([(1, 20, 88, 1, 12)], [(2, 20, 0, 1, 30), (1, 20, 30, 1, 14)]),
        ([(1, 20, 95, 1, 5)], [(2, 20, 0, 1, 50), (1, 20, 50, 1, 50)]),
    ],
    ids=str,
)
def test_a_defect_whose_kinds_change_over_a_border_is_one_defect(frames: tuple[list[Any], ...]) -> None:
    """An engine that wavers must not hide it at a border either; its minimum is the smallest of its kinds'."""
    masks = [mask_with(*boxes) for boxes in frames]
    judgement = judged(*masks, min_area_px=(0, 50, 60))
    assert judgement.decision is Decision.REJECT
    if len(frames[1]) == 1:
        # Without the frame before it is too small.
        assert judged(masks[1], min_area_px=(0, 50, 60)).decision is Decision.ACCEPT


def test_a_chain_of_changing_kinds_is_followed_over_many_borders() -> None:
    """Each frame alone shows a tenth of the minimum."""
    chain = [mask_with((1 + index % 2, 20, 0, 1, 100)) for index in range(10)]
    assert judged(*chain, min_area_px=(0, 1000, 1000)).decision is Decision.REJECT
    assert judged(*chain[:9], min_area_px=(0, 1000, 1000)).decision is Decision.ACCEPT


@pytest.mark.parametrize("rejects", [(False, True, False), (False, False, True)])
def test_a_recorded_kind_adds_nothing_over_a_border(rejects: tuple[bool, ...]) -> None:
    """As within a frame."""
    masks = mask_with(A), mask_with(BELOW_B)
    assert judged(*masks, min_area_px=(0, 50, 60), rejects=rejects).decision is Decision.ACCEPT


def test_joined_parts_at_a_border_continue_in_the_next_frame() -> None:
    """The whole reaches the last row, and is followed as one."""
    strip = StripDefects("top")
    top = mask_with((1, 20, 90, 1, 6), (2, 20, 96, 1, 4))
    found = find_components(Candidates(top, top * 100, 0, 0, top.shape), (0.0, 8.0, 8.0), (False, True, True))
    (part,) = strip.follow(0, found.found)
    below = mask_with((1, 20, 0, 1, 5))
    (rest,) = strip.follow(1, components(below, (0.0, 8.0, 8.0)))
    assert (part.component.kind, rest.defect_id, rest.area_so_far_px) == (1, part.defect_id, 15)


def test_spray_of_two_kinds_costs_no_more_than_spray_of_one() -> None:
    """Thousands of joined spots: as many as are listed, and no search through the frame for each."""
    mask = np.zeros((256, 1600), np.uint8)
    for row in range(2):
        for column in range(2):
            mask[row::6, column::6], mask[row + 2 :: 6, column::6] = 1, 2
    candidates = Candidates(mask, mask * 100, 0, 0, mask.shape)
    one_kind = Candidates((mask > 0).astype(np.uint8), mask * 100, 0, 0, mask.shape)
    start_s = time.process_time()
    alone = find_components(one_kind, (0.0, 5.0, 5.0))
    alone_s = time.process_time() - start_s
    joined = find_components(candidates, (0.0, 5.0, 5.0))
    joined_s = time.process_time() - start_s - alone_s
    assert alone.crowded[1] > 5000
    assert len(joined.found) == MAX_COMPONENTS
    assert all(each.joined == (1, 2) for each in joined.found)
    assert joined_s < 10 * alone_s
