"""Defects at a frame's borders: over frames that overlap, and over the pictures of two cameras."""

import numpy as np
import pytest

from inspector.core.borders import Borders, Span, beside
from inspector.core.ledger import Settled
from inspector.core.rules import BoundRecipe
from inspector.core.strip.odometer import Speeds
from inspector.core.strip.surface import Surface, View
from inspector.core.strip.track import Coverage
from inspector.core.verdicts import VerdictMaker
from inspector.values import Announcement, Decision, Inspection, Motion, Pixels, Segmentation, StripPlace, Verdict

HEIGHT, WIDTH = 256, 400
MM_PER_PX = 0.5
FRAME_MM = HEIGHT * MM_PER_PX
LEAST_MM2 = 100.0


def recipe(offset_mm: float = 0.0, *, mirrored: bool = False, min_width_mm: float = 0.0) -> BoundRecipe:
    """Scratches of 100 mm² reject."""
    return BoundRecipe(
        "r@1", ("normal", "scratches"), (False, True), (0.0, LEAST_MM2), np.array([255, 128], np.uint8),
        MM_PER_PX, MM_PER_PX, offset_mm, mirrored, min_width_mm=(0.0, min_width_mm) if min_width_mm else (),
    )  # fmt: skip


def inspect(maker: VerdictMaker, frame: int, position_mm: float, mask: Pixels, place: StripPlace) -> Verdict:
    """The verdict on one frame; the mask is 1 where the scratch is."""
    announced = Announcement(
        "top", 1, frame, 1, 0, position_mm, HEIGHT, recipe="r@1", strip=place, width=mask.shape[1]
    )
    maps = Segmentation(np.ones_like(mask), np.asarray(mask * 200, np.uint8), 1)
    return maker.make(Settled(frame, announced, Inspection("e", 1, 2, 3, maps, mask), None), 10).verdict


def strip_with(top: int, length: int, width: int, slant: float = 0.0) -> Pixels:
    """A strip of 1,000 rows with one scratch from row `top`."""
    strip = np.zeros((1000, WIDTH), np.uint8)
    for row in range(length):
        left = 100 + round(slant * row)
        strip[top + row, left : left + width] = 1
    return strip


def run(strip: Pixels, overlap_px: int, surface: Surface | None = None) -> list[Verdict]:
    """A camera that shows the last rows of each frame again."""
    maker, coverage = VerdictMaker("top", {"e": {"r@1": recipe()}}, "e"), Coverage(Speeds(10, 2000, 35_000))
    verdicts = []
    for frame, row in enumerate(range(0, len(strip) - HEIGHT, HEIGHT - overlap_px)):
        position_mm = row * MM_PER_PX
        place = coverage.mark(position_mm, FRAME_MM, 1000.0)
        verdicts.append(inspect(maker, frame, position_mm, strip[row : row + HEIGHT], place))
        if surface is not None:
            surface.add(verdicts[-1])
    return verdicts


@pytest.mark.parametrize("overlap_px", [0, 6, 12, 13, 14, 20, 40, 60, 90, 128, 160])
@pytest.mark.parametrize(
    ("length", "width", "slant"), [(120, 4, 0.0), (450, 1, 0.0), (120, 4, 0.5), (120, 4, -0.5)]
)
def test_what_is_rejected_as_a_whole_is_rejected_at_any_overlap(
    overlap_px: int, length: int, width: int, slant: float
) -> None:
    """A scratch of over 100 mm² around the end of the first frame, also a slanting one."""
    top = max(0, HEIGHT - overlap_px // 2 - length // 2)
    surface = Surface({"top": View(MM_PER_PX, MM_PER_PX, FRAME_MM, WIDTH)}, 20.0)
    found = run(strip_with(top, length, width, slant), overlap_px, surface)
    assert any(each.decision is Decision.REJECT for each in found)
    [on_strip] = surface.between(0.0, 1000.0)
    assert on_strip.area_mm2 <= length * width * MM_PER_PX**2 * 1.01, "steel that two frames show counts once"


@pytest.mark.parametrize("overlap_px", [0, 20, 60, 128])
def test_a_fork_counts_both_of_its_arms(overlap_px: int) -> None:
    """Two regions of one frame continue one of the frame before: beside each other, not one on the other."""
    strip = strip_with(HEIGHT - 100, 100, 4)
    for left in (80, 124):
        strip[HEIGHT : HEIGHT + 100, left : left + 4] = 1
    strip[HEIGHT - 4 : HEIGHT, 80:128] = 1
    surface = Surface({"top": View(MM_PER_PX, MM_PER_PX, FRAME_MM, WIDTH)}, 20.0)
    run(strip, overlap_px, surface)
    [on_strip] = surface.between(0.0, 1000.0)
    assert on_strip.area_mm2 == pytest.approx(np.count_nonzero(strip) * MM_PER_PX**2, rel=0.12)


@pytest.mark.parametrize("overlap_px", [0, 20, 60, 128])
def test_a_small_scratch_stays_small_at_any_overlap(overlap_px: int) -> None:
    """80 mm² are under the minimum, wherever they lie; what two frames show counts once."""
    for top in range(HEIGHT - 160, HEIGHT + 10, 7):
        found = run(strip_with(top, 80, 4), overlap_px)
        assert all(each.decision is Decision.ACCEPT for each in found), top


def test_reverse_travel_and_gaps_break_a_defect_off() -> None:
    """The frame after does not continue where this one ended."""
    strip = strip_with(HEIGHT - 60, 120, 4)
    for next_row in (HEIGHT - 300, HEIGHT + 40):
        maker, coverage = VerdictMaker("top", {"e": {"r@1": recipe()}}, "e"), Coverage(Speeds(10, 2000, 35_000))
        for frame, row in enumerate((0, next_row)):
            mask = np.roll(strip, -row, axis=0)[:HEIGHT]
            place = coverage.mark(row * MM_PER_PX, FRAME_MM, 1000.0)
            found = inspect(maker, frame, row * MM_PER_PX, mask, place)
        assert found.decision is Decision.ACCEPT


def two_cameras(overlap_mm: float, *, mirrored: bool, from_mm: float, to_mm: float, rows: int) -> list[Verdict]:
    """A crack across both cameras; the second one begins `overlap_mm` before the first one ends."""
    wide_mm = WIDTH * MM_PER_PX
    starts = (0.0, wide_mm - overlap_mm)
    spans = [Span(start, start + wide_mm) for start in starts]
    verdicts = []
    for at, start in enumerate(starts):
        rules = recipe(start + wide_mm if mirrored else start, mirrored=mirrored, min_width_mm=30.0)
        others = [spans[1 - at]]
        maker = VerdictMaker("top", {"e": {"r@1": rules}}, "e", None, others.copy)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        first, last = (round(min(max((mm - start) / MM_PER_PX, 0), WIDTH)) for mm in (from_mm, to_mm))
        mask[100 : 100 + rows, first:last] = 1
        shown = np.ascontiguousarray(mask[:, ::-1]) if mirrored else mask
        verdicts.append(inspect(maker, 0, 0.0, shown, StripPlace(Motion.RUNNING, 1000.0)))
    return verdicts


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("overlap_mm", [0.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize("shift_mm", [-30.0, -15.0, 0.0, 15.0, 30.0])
def test_a_crack_over_two_cameras_is_rejected(mirrored: bool, overlap_mm: float, shift_mm: float) -> None:
    """80 mm across and 2 mm along: each camera shows a part of it, and the minimum is 100 mm² and 30 mm across."""
    middle = WIDTH * MM_PER_PX - overlap_mm / 2 + shift_mm
    found = two_cameras(overlap_mm, mirrored=mirrored, from_mm=middle - 40, to_mm=middle + 40, rows=4)
    assert any(each.decision is Decision.REJECT for each in found)


@pytest.mark.parametrize("overlap_mm", [0.0, 20.0, 40.0])
def test_a_part_is_judged_as_one_only_where_another_camera_may_show_the_rest(overlap_mm: float) -> None:
    """70 mm² away from the border, or all of it in view of the other camera, pass; 40 mm² at the border, too."""
    edge = WIDTH * MM_PER_PX
    for from_mm, to_mm, rows in [(50, 85, 4), (edge - 20, edge, 4), (0, 35, 4)] + (
        [(edge - overlap_mm + 1, edge - 1, 4)] if overlap_mm else []
    ):
        found = two_cameras(overlap_mm, mirrored=False, from_mm=from_mm, to_mm=to_mm, rows=rows)
        assert all(each.decision is Decision.ACCEPT for each in found), (from_mm, to_mm)


def test_the_reason_says_that_the_rest_may_lie_in_another_picture() -> None:
    """An operator sees why half of the minimum was enough."""
    edge = WIDTH * MM_PER_PX
    first, second = two_cameras(0.0, mirrored=False, from_mm=edge - 60, to_mm=edge + 20, rows=4)
    assert second.decision is Decision.ACCEPT
    assert "over 50 mm², enough for a part whose rest another camera may show" in first.reasons[0]


@pytest.mark.parametrize(
    ("others", "left", "right"),
    [
        ([], None, None),
        ([Span(200, 400)], None, 0.0),
        ([Span(180, 380)], None, 40.0),
        ([Span(-190, 10)], 20.0, None),
        ([Span(-200, 0), Span(200, 400)], 0.0, 0.0),
        ([Span(300, 500)], None, None),
        ([Span(0, 200)], None, None),
        ([Span(-100, 300)], 600.0, 600.0),
    ],
)
def test_who_shows_what_beside_a_camera(others: list[Span], left: float | None, right: float | None) -> None:
    """The camera sees 0 to 200 mm in 400 columns; mirrored, its sides are exchanged."""
    assert beside(0.0, 200.0, MM_PER_PX, others) == Borders(0, left, right)
    assert beside(200.0, 0.0, MM_PER_PX, others) == Borders(0, right, left)
