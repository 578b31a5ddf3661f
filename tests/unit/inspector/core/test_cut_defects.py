"""Defects that frames, cameras and an undecided engine cut: what rejects as a whole rejects in pieces."""

from dataclasses import replace

import numpy as np
import pytest

from inspector.core.borders import Span
from inspector.core.ledger import Settled
from inspector.core.rules import BoundRecipe
from inspector.core.strip.odometer import Speeds
from inspector.core.strip.track import Coverage
from inspector.core.verdicts import VerdictMaker
from inspector.values import (
    Announcement,
    Code,
    Decision,
    Inspection,
    Pixels,
    Segmentation,
    StripPlace,
    Uninspected,
    Verdict,
)

HEIGHT, WIDTH = 128, 200
MM_PER_PX = 0.5
FRAME_MM = HEIGHT * MM_PER_PX
SPEEDS = Speeds(10, 2000, 35_000)


def recipe(
    least_mm2: float = 100.0, kinds: int = 2, offset_mm: float = 0.0, *, length_mm: float = 0, width_mm: float = 0
) -> BoundRecipe:
    """Every kind rejects from the same size."""
    return BoundRecipe(
        "r@1", ("normal", *"ab"[:kinds]), (False, *[True] * kinds), (0.0, *[least_mm2] * kinds),
        np.array([255, *[128] * kinds], np.uint8), MM_PER_PX, MM_PER_PX, offset_mm,
        min_length_mm=(0.0, *[length_mm] * kinds), min_width_mm=(0.0, *[width_mm] * kinds),
    )  # fmt: skip


def judged(maker: VerdictMaker, frame: int, mask: Pixels, place: StripPlace | None, row: int) -> Verdict:
    """The verdict on one frame, uint8 [H, W] of kinds."""
    announced = Announcement(
        "top", 1, frame, 1, 0, row * MM_PER_PX, len(mask), recipe="r@1", strip=place, width=mask.shape[1]
    )
    maps = Segmentation(np.maximum(mask, 1), np.where(mask > 0, 200, 0).astype(np.uint8), 1)
    return maker.make(Settled(frame, announced, Inspection("e", 1, 2, 3, maps, mask), None), 10).verdict


def rejects(strip: Pixels, rules: BoundRecipe, *, rows: int, others: tuple[Span, ...] = ()) -> bool:
    """Whether a camera whose frames have so many rows rejects any of them."""
    maker = VerdictMaker("top", {"e": {"r@1": rules}}, "e", None, lambda: others)
    found = [
        judged(maker, number, np.ascontiguousarray(strip[row : row + rows]), None, row)
        for number, row in enumerate(range(0, len(strip), rows))
    ]
    return any(each.decision is Decision.REJECT for each in found)


def scratch(rng: np.random.Generator, *, kinds: int) -> Pixels:
    """A slanting scratch around the place where two cameras and two frames meet; its kind wavers."""
    strip = np.zeros((4 * HEIGHT, 2 * WIDTH), np.uint8)
    length, slant = int(rng.integers(10, 200)), float(rng.uniform(-2, 2))
    thick, block = int(rng.integers(2, 7)), int(rng.integers(3, 20))
    top, left = int(rng.integers(HEIGHT, 2 * HEIGHT)), WIDTH + int(rng.integers(-60, 60))
    for row in range(length):
        at = min(max(0, left + round(slant * row)), 2 * WIDTH - thick)
        strip[top + row, at : at + thick] = 1 + (row // block) % kinds
    return strip


@pytest.mark.parametrize(("length_mm", "width_mm"), [(0, 0), (20, 0), (0, 15), (12, 6)])
@pytest.mark.parametrize("kinds", [1, 2])
def test_what_rejects_as_a_whole_rejects_in_pieces(kinds: int, length_mm: float, width_mm: float) -> None:
    """Scratches of up to twice the minimum: in one picture, in frames, and in frames of two cameras."""
    wide_mm, rng, rejected = WIDTH * MM_PER_PX, np.random.default_rng(3), 0
    for number in range(300):
        strip = scratch(rng, kinds=kinds)
        least_mm2 = float(rng.uniform(0.5, 1.0)) * np.count_nonzero(strip) * MM_PER_PX**2
        rules = recipe(least_mm2, length_mm=length_mm, width_mm=width_mm)
        if not rejects(strip, rules, rows=len(strip)):
            continue
        rejected += 1
        assert rejects(strip, rules, rows=HEIGHT), f"{number}: in frames"
        halves = [
            rejects(
                np.ascontiguousarray(strip[:, columns]), replace(rules, offset_across_mm=start), rows=HEIGHT,
                others=(Span(other, other + wide_mm),),
            )
            for columns, start, other in (
                (slice(0, WIDTH), 0.0, wide_mm),
                (slice(WIDTH, None), wide_mm, 0.0),
            )
        ]  # fmt: skip
        assert any(halves), f"{number}: in frames of two cameras"
    assert rejected > 60


@pytest.mark.parametrize("area_px", [99, 100, 101])
def test_no_area_lies_between_small_and_large_enough(area_px: int) -> None:
    """Two touching kinds are one defect, unless one of them reaches the minimum of 100.4 px by itself."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[50, 20 : 20 + area_px], mask[51, 20 : 20 + area_px] = 1, 2
    assert rejects(mask, recipe(100.4 * MM_PER_PX**2), rows=HEIGHT)


@pytest.mark.parametrize("pitch_px", [HEIGHT - 1, HEIGHT, HEIGHT + 1, HEIGHT + 3])
def test_frames_of_a_second_pass_adjoin_like_those_of_the_first(pitch_px: int) -> None:
    """Steel that comes again after reverse travel: positions are off by a few rows, in both directions."""
    strip = np.zeros((5 * HEIGHT, WIDTH), np.uint8)
    strip[2 * HEIGHT - 60 : 2 * HEIGHT + 60, 100:104] = 1  # 120 mm²
    maker, coverage = VerdictMaker("top", {"e": {"r@1": recipe(kinds=1)}}, "e"), Coverage(SPEEDS)
    passes = [*range(0, 4 * HEIGHT, HEIGHT), *range(2 * HEIGHT, -1, -HEIGHT)]
    for number, row in enumerate(passes):
        place = coverage.mark(row * MM_PER_PX, FRAME_MM, 1000.0)
        announced = Announcement("top", 1, number, 1, 0, row * MM_PER_PX, HEIGHT, recipe="r@1", strip=place)
        maker.make(Settled(number, announced, None, Uninspected(Code.SHED, "shed")), 10)
    found = []
    for number, row in enumerate(range(0, 3 * pitch_px, pitch_px), len(passes)):
        place = coverage.mark(row * MM_PER_PX, FRAME_MM, 1000.0)
        found.append(judged(maker, number, np.ascontiguousarray(strip[row : row + HEIGHT]), place, row))
    assert found[-1].decision is Decision.REJECT


@pytest.mark.parametrize("overlap_px", [0, 20, 40])
def test_specks_below_the_minimum_are_no_crowd_at_a_border(overlap_px: int) -> None:
    """Over 64 specks of 1 mm² lie where two frames meet; the minimum is 25 mm²."""
    rng = np.random.default_rng(3)
    strip = np.zeros((4 * HEIGHT, 8 * WIDTH), np.uint8)
    for y, x in rng.integers(0, (4 * HEIGHT - 2, 8 * WIDTH - 2), (3_000, 2)):
        strip[y : y + 2, x : x + 2] = 1
    maker, coverage = VerdictMaker("top", {"e": {"r@1": recipe(25.0, kinds=1)}}, "e"), Coverage(SPEEDS)
    for number, row in enumerate(range(0, 3 * HEIGHT, HEIGHT - overlap_px)):
        place = coverage.mark(row * MM_PER_PX, FRAME_MM, 1000.0)
        found = judged(maker, number, np.ascontiguousarray(strip[row : row + HEIGHT]), place, row)
        assert found.decision is Decision.ACCEPT


@pytest.mark.parametrize("specks", [10, 80, 150])
@pytest.mark.parametrize("overlap_px", [0, 20])
def test_no_crowd_of_specks_hides_a_defect_at_a_border(specks: int, overlap_px: int) -> None:
    """A scratch of 120 mm² lies over the border; the larger specks of 7 mm² below its smaller half come first."""
    strip = np.zeros((4 * HEIGHT, 8 * WIDTH), np.uint8)
    strip[HEIGHT - 5 : HEIGHT + 115, 1580:1584] = 1
    for number in range(specks):
        strip[HEIGHT - 7 : HEIGHT, 10 * number + 2 : 10 * number + 6] = 1
    maker, coverage = VerdictMaker("top", {"e": {"r@1": recipe(118.0, kinds=1)}}, "e"), Coverage(SPEEDS)
    found = []
    for number, row in enumerate(range(0, 3 * HEIGHT, HEIGHT - overlap_px)):
        place = coverage.mark(row * MM_PER_PX, FRAME_MM, 1000.0)
        found.append(judged(maker, number, np.ascontiguousarray(strip[row : row + HEIGHT]), place, row))
    assert Decision.REJECT in {each.decision for each in found}
