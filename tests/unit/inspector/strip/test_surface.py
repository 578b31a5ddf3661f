"""Many cameras over one strip, and what nobody inspected: by the shipped way from maps to verdicts."""

from typing import Any

import msgspec
import numpy as np
import pytest

from inspector.core.ledger import Settled
from inspector.core.rules import BoundRecipe, CameraView, score_thresholds
from inspector.core.strip.edges import with_edges
from inspector.core.strip.surface import Surface, SurfaceDefect, View, gaps_across
from inspector.core.verdicts import VerdictMaker
from inspector.values import (
    Announcement,
    Code,
    Decision,
    Defect,
    Inspection,
    Motion,
    Segmentation,
    StripPlace,
    Uninspected,
    Verdict,
)

MM_PER_PX = 0.5
HEIGHT = 128
WIDTH = 4000
"""2 m at 0.5 mm."""

FRAMES = 6
CLASSES = ("normal", "scratch", "stain")

VIEWS = {"c1": (0, 1100, False), "c2": (980, 1100, True), "c3": (1960, 1100, False), "c4": (2900, 1100, True)}
"""First column, columns, mirrored: four cameras that overlap by 120 and 160 px."""


def draw(seed: int, count: int = 40) -> np.ndarray:
    """Ellipses of two kinds on six frames of strip, none nearer than 60 px to another."""
    random = np.random.default_rng(seed)
    strip = np.zeros((FRAMES * HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[: strip.shape[0], : strip.shape[1]]
    taken: list[tuple[float, float]] = []
    while len(taken) < count:
        y, x = random.uniform(40, strip.shape[0] - 40), random.uniform(40, WIDTH - 40)
        if any(abs(y - other_y) < 90 and abs(x - other_x) < 120 for other_y, other_x in taken):
            continue
        taken.append((y, x))
        high, wide = random.uniform(8, 28), random.uniform(8, 40)
        near = np.s_[max(0, int(y - 30)) : int(y + 30), max(0, int(x - 45)) : int(x + 45)]
        inside = ((rows[near] - y) / high) ** 2 + ((columns[near] - x) / wide) ** 2 <= 1
        strip[near][inside] = 1 + len(taken) % 2
    return strip


def recipe(seen: CameraView) -> BoundRecipe:
    thresholds = score_thresholds(CLASSES, dict.fromkeys(CLASSES[1:], 0.5))
    return BoundRecipe(
        "r@1", CLASSES, (False, True, True), (0.0, 4.0, 4.0), thresholds, MM_PER_PX, MM_PER_PX,
        seen.offset_across_mm, seen.mirrored,
    )  # fmt: skip


def inspect(
    strip: np.ndarray,
    camera: str,
    first: int,
    columns: int,
    *,
    mirrored: bool,
    edges_mm: tuple[float | None, float | None] = (None, None),
) -> list[Verdict]:
    """The verdicts of one camera on this strip."""
    edge_mm = (first + (columns if mirrored else 0)) * MM_PER_PX
    maker = VerdictMaker(
        camera, {"e": {"r@1": recipe(CameraView(offset_across_mm=edge_mm, mirrored=mirrored))}}, "e"
    )
    verdicts = []
    for frame in range(FRAMES):
        mask = strip[frame * HEIGHT : (frame + 1) * HEIGHT, first : first + columns]
        mask = np.ascontiguousarray(mask[:, ::-1] if mirrored else mask)
        maps = Segmentation(np.maximum(mask, 1), np.where(mask > 0, 255, 0).astype(np.uint8), 1)
        place = with_edges(StripPlace(Motion.RUNNING, 5000.0), *edges_mm)
        announced = Announcement(
            camera, 1, frame, 1, 0, frame * HEIGHT * MM_PER_PX, HEIGHT, recipe="r@1", strip=place
        )
        settled = Settled(frame, announced, Inspection("e", 1, 2, 3, maps, mask), None)
        verdicts.append(maker.make(settled, 10).verdict)
    return verdicts


def view(first: int, columns: int, *, mirrored: bool) -> View:
    edge_mm = (first + (columns if mirrored else 0)) * MM_PER_PX
    return View(MM_PER_PX, MM_PER_PX, HEIGHT * MM_PER_PX, columns, edge_mm, mirrored)


def defects_of(surface: Surface) -> list[SurfaceDefect]:
    return surface.between(-1e9, 1e9)


def distance(one: SurfaceDefect, other: SurfaceDefect) -> float:
    return abs(one.along_mm - other.along_mm) + abs(one.across_mm - other.across_mm)


@pytest.mark.parametrize("seed", range(5))
def test_four_overlapping_cameras_see_what_one_sees(seed: Any) -> None:
    """The same defects, each once, in place and size within a pixel; areas within a border of one pixel."""
    strip = draw(seed)
    whole = Surface({"one": view(0, WIDTH, mirrored=False)}, 20.0)
    for verdict in inspect(strip, "one", 0, WIDTH, mirrored=False):
        whole.add(verdict)
    parts = Surface({name: view(a, b, mirrored=m) for name, (a, b, m) in VIEWS.items()}, 20.0)
    streams = [inspect(strip, name, a, b, mirrored=m) for name, (a, b, m) in VIEWS.items()]
    for verdicts in zip(*streams, strict=True):
        for verdict in verdicts:
            parts.add(verdict)
    one, four = defects_of(whole), defects_of(parts)
    assert len(one) == 40
    assert len(four) == len(one)
    assert any(len(each.cameras) == 2 for each in four)
    left = list(four)
    for expected in one:
        found = min(left, key=lambda each: distance(each, expected))
        left.remove(found)
        assert found.name == expected.name
        for side in ("start_mm", "end_mm", "left_mm", "right_mm"):
            assert getattr(found.box, side) == pytest.approx(getattr(expected.box, side), abs=MM_PER_PX)


def test_two_defects_of_one_camera_stay_two() -> None:
    """Nearer than the tolerance between cameras, but seen by one camera in one frame."""
    strip = np.zeros((FRAMES * HEIGHT, 200), np.uint8)
    strip[20:40, 20:40] = 1
    strip[44:64, 20:40] = 1
    surface = Surface({"one": view(0, 200, mirrored=False)}, 20.0)
    for verdict in inspect(strip, "one", 0, 200, mirrored=False):
        surface.add(verdict)
    assert len(defects_of(surface)) == 2


def frame(
    position_mm: float, *, inspected: bool = True, overlap_mm: float = 0.0, camera: str = "one", at: int = 0
) -> Any:
    """A verdict without defects."""
    fault = None if inspected else Uninspected(Code.SHED, "shed")
    maker = VerdictMaker(camera, {"e": {"r@1": recipe(CameraView())}}, "e")
    place = StripPlace(Motion.RUNNING, 1000.0, overlap_mm)
    announced = Announcement(camera, 1, at, 1, 0, position_mm, HEIGHT, recipe="r@1", strip=place)
    result = Inspection("e", 1, 2, 3) if inspected else None
    return maker.make(Settled(at, announced, result, fault), 10).verdict


def test_uninspected_steel_is_what_any_camera_has_not_seen() -> None:
    """A shed frame, a gap before the first frame, a frame that was inspected the second time."""
    views = {name: view(0, 200, mirrored=False) for name in ("one", "two")}
    surface = Surface(views, 20.0)
    for at in range(10):
        surface.add(frame(64.0 * at, inspected=at != 3, camera="one", at=at))
        surface.add(frame(64.0 * at, inspected=at != 6, camera="two", at=at))
    surface.add(frame(64.0 * 6, overlap_mm=64.0, camera="two", at=10))  # the strip went back
    assert surface.uninspected(-100.0, 640.0) == [(-100.0, 0.0), (192.0, 256.0)]
    assert surface.uninspected(300.0, 640.0) == []
    assert surface.uninspected(600.0, 700.0) == [(640.0, 700.0)]


def test_a_gap_between_cameras_is_told() -> None:
    """Two cameras on the top that leave 30 mm, one at the bottom that is alone."""
    views = {
        "left": View(0.5, 0.5, 64.0, 200),
        "right": View(0.5, 0.5, 64.0, 200, 230.0, mirrored=True),
        "below": View(0.5, 0.5, 64.0, 200, 500.0, side="bottom"),
    }
    assert gaps_across(views) == [("top", 100.0, 130.0)]


def test_the_same_steel_twice_gives_each_defect_once() -> None:
    """The strip stands or goes back: an overlapping frame shows the defect again, as another one of its camera."""
    strip = np.zeros((FRAMES * HEIGHT, 200), np.uint8)
    strip[20:40, 20:40] = 1
    surface = Surface({"one": view(0, 200, mirrored=False)}, 20.0)
    first, *rest = inspect(strip, "one", 0, 200, mirrored=False)
    for verdict in (first, *rest):
        surface.add(verdict)
    again = msgspec.structs.replace(
        first,
        frame_id=50,
        position_mm=first.position_mm + 3.0,
        defects=tuple(msgspec.structs.replace(each, id="one-50-1") for each in first.defects),
        strip=StripPlace(Motion.REVERSE, -500.0, 64.0),
    )
    assert surface.add(again) == []
    (defect,) = defects_of(surface)
    assert defect.area_mm2 == pytest.approx(20 * 20 * MM_PER_PX**2)


def test_what_lies_beside_the_strip_is_no_defect_and_the_others_know_their_edge() -> None:
    """On a plain and on a mirrored camera; a defect over the edge is cut off there."""
    strip = np.zeros((FRAMES * HEIGHT, WIDTH), np.uint8)
    for column in (100, 296, 1000):
        strip[40:60, column : column + 20] = 1
    for mirrored in (False, True):
        maker_verdicts = inspect(strip, "c", 0, 2000, mirrored=mirrored, edges_mm=(150.0, 900.0))
        over, inside = sorted(maker_verdicts[0].defects, key=lambda each: each.across_mm)
        assert (over.edge_mm, inside.edge_mm) == (0.0, 350.0)
        assert over.box[2] == 16, "148 to 158 mm across, of which 148 to 150 lie beside the strip"
        assert inside.across_mm == pytest.approx(505.0, abs=0.5)


@pytest.mark.parametrize(("edges_mm", "distance_mm"), [((150.0, None), 350.0), ((None, 900.0), 390.0)])
def test_one_edge_in_view_is_enough(edges_mm: Any, distance_mm: float) -> None:
    """Another camera sees the other edge."""
    strip = np.zeros((FRAMES * HEIGHT, WIDTH), np.uint8)
    strip[40:60, 1000:1020] = 1
    (found,) = inspect(strip, "c", 0, 2000, mirrored=False, edges_mm=edges_mm)[0].defects
    assert found.edge_mm == distance_mm


def test_the_width_is_that_between_the_outermost_edges_of_all_cameras() -> None:
    """Two cameras see one edge each, and a frame without its edge does not count."""
    strip = np.zeros((FRAMES * HEIGHT, WIDTH), np.uint8)
    surface = Surface({"l": view(0, 2000, mirrored=False), "r": view(2000, 2000, mirrored=False)}, 20.0)
    assert surface.width_mm(-1e9, 1e9) is None
    for verdict in inspect(strip, "l", 0, 2000, mirrored=False, edges_mm=(150.0, None)):
        surface.add(verdict)
    assert surface.width_mm(-1e9, 1e9) is None
    for verdict in inspect(strip, "r", 2000, 2000, mirrored=False, edges_mm=(None, 1700.5)):
        surface.add(verdict)
    for verdict in inspect(strip, "r", 2000, 2000, mirrored=False):
        surface.add(verdict)
    assert surface.width_mm(-1e9, 1e9) == 1550.5
    surface.forget(1e9)
    assert surface.width_mm(-1e9, 1e9) is None


def scratched(camera: str, frame: int, number: int, coil: str | None = None) -> Verdict:
    """A frame of 64 mm with a scratch over all of its rows, 2 mm wide; the gap before the next one is 6 mm."""
    columns = {"l": 1900, "r": 40}[camera]
    defect = Defect(
        id=f"{camera}-{number}", kind=1, name="scratch", box=(columns, 0, 4, HEIGHT), area_px=4 * HEIGHT,
        area_mm2=4 * HEIGHT * MM_PER_PX**2, across_mm=0.0, along_mm=0.0, score=0.9,
    )  # fmt: skip
    return Verdict(
        camera, frame, 0, frame * 70.0, coil, Decision.REJECT, ("scratch",), (defect,), "r@1", "e", {},
        ingest_epoch=1, strip=StripPlace(Motion.RUNNING, 1000.0, gap_mm=6.0),
    )  # fmt: skip


def test_a_long_defect_that_two_cameras_see_in_pieces_has_the_area_of_all_pieces() -> None:
    """Its pieces have new ids where frames do not adjoin; each camera shows all of it."""
    surface = Surface({"l": view(0, 2000, mirrored=False), "r": view(1860, 2000, mirrored=False)}, 20.0)
    for frame in range(20):
        for camera in "lr":
            surface.add(scratched(camera, frame, frame))
    [found] = surface.between(-1e9, 1e9)
    assert found.area_mm2 == pytest.approx(20 * 128.0)
    for frame in range(20):  # and once more, on the way back
        again = scratched("l", frame, 100 + frame)
        surface.add(msgspec.structs.replace(again, strip=StripPlace(Motion.REVERSE, -1000.0, overlap_mm=64.0)))
    [found] = surface.between(-1e9, 1e9)
    assert found.area_mm2 == pytest.approx(20 * 128.0)


@pytest.mark.parametrize("named_from", [5, 8, 40])
def test_a_long_defect_is_cut_at_the_coils_border_however_late_its_start_was_told(named_from: int) -> None:
    """A scratch of 1.4 m, and a coil that begins at 350 mm; the frames name it from then on, later, or never."""
    surface = Surface({"l": view(0, 2000, mirrored=False)}, 20.0)
    for frame in range(20):
        surface.add(scratched("l", frame, 0, "A" if frame < named_from else "B"))
    [before], [after] = surface.between(-1e9, 350.0), surface.between(350.0, 1e9)
    assert before.length_mm == pytest.approx(350.0, abs=6.0)
    assert after.length_mm == pytest.approx(19 * 70.0 + 64.0 - 350.0, abs=6.0)
    assert before.area_mm2 / after.area_mm2 == pytest.approx(before.length_mm / after.length_mm, rel=0.05)
    assert before.area_mm2 + after.area_mm2 == pytest.approx(20 * 128.0)
