"""What a candidate engine finds in a frame, compared with what the line found."""

import numpy as np
import pytest

from inspector.core.differences import CANDIDATE_ONLY, LINE_ONLY, OTHER_KIND, Tally, differences
from inspector.core.rules import BoundRecipe
from inspector.core.single_frame import judge_alone, judge_mask
from inspector.values import Pixels, Segmentation

RECIPE = BoundRecipe(
    "r@1",
    ("normal", "pit", "scratch"),
    (False, True, True),
    (0.0, 20.0, 20.0),
    np.array([255, 128, 128], np.uint8),
    1.0,
    1.0,
)
SEVERITY_MM2 = {"scratch": (100.0, 400.0)}


def mask(*blocks: tuple[int, int, int, int, int]) -> Pixels:
    """Blocks of kind, x, y, width and height."""
    made = np.zeros((64, 128), np.uint8)
    for kind, x, y, width, height in blocks:
        made[y : y + height, x : x + width] = kind
    return made


@pytest.mark.parametrize(
    ("line", "candidate", "wanted"),
    [
        ([(1, 5, 5, 10, 10)], [(1, 7, 6, 9, 9)], []),
        ([(2, 5, 5, 10, 10)], [], [(LINE_ONLY, "scratch", 2)]),
        ([], [(2, 5, 5, 20, 20), (1, 60, 5, 5, 5)], [(CANDIDATE_ONLY, "scratch", 3), (CANDIDATE_ONLY, "pit", 1)]),
        ([(1, 5, 5, 10, 10)], [(2, 7, 6, 9, 9)], [(OTHER_KIND, "scratch", 1)]),
        ([(1, 5, 5, 10, 10)], [(1, 60, 5, 9, 9)], [(LINE_ONLY, "pit", 1), (CANDIDATE_ONLY, "pit", 1)]),
        ([], [(2, 5, 5, 4, 4)], []),
    ],
    ids=["same", "missed", "new ones", "another kind", "elsewhere", "below the minimum area"],
)
def test_differences_are_told_by_kind_and_severity(
    line: list[tuple[int, int, int, int, int]],
    candidate: list[tuple[int, int, int, int, int]],
    wanted: list[tuple[str, str, int]],
) -> None:
    """A defect that both find may have other edges; small ones are no defects by the recipe."""
    ours, theirs = judge_mask(mask(*candidate), RECIPE), judge_mask(mask(*line), RECIPE)
    found = differences(theirs, ours, SEVERITY_MM2)
    assert [(each.what, each.name, each.severity) for each in found] == wanted
    tally = Tally()
    tally.add(theirs, ours, found)
    assert tally.agreed == (theirs.rejected == ours.rejected)
    assert sum(tally.counts.values()) == len(wanted)


def test_a_mask_and_the_maps_that_it_comes_from_are_judged_alike() -> None:
    """So the line, of which only the mask is known, and the candidate are measured with one rule."""
    drawn = mask((1, 10, 10, 12, 8), (2, 60, 20, 30, 4))
    score = np.where(drawn > 0, 200, 20).astype(np.uint8)
    by_maps = judge_alone(Segmentation(np.maximum(drawn, 1), score, 1), 64, 128, RECIPE)
    by_mask = judge_mask(drawn, RECIPE)
    assert by_maps.rejected
    assert by_mask.rejected
    assert (by_maps.mask == drawn).all()
    assert [each.area_px for each in by_maps.judgement.defects] == [
        each.area_px for each in by_mask.judgement.defects
    ]
