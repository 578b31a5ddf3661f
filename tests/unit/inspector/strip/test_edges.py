"""Edges of the strip: in the simulator's pictures, in dirt and slant, and what decide makes of them."""

import itertools

import numpy as np
import pytest

from inspector.core.strip.edges import EdgeFinder, Edges, find_edges
from inspector.sources.simulator import StripSettings, strip
from inspector.sources.simulator.surface import CoilSurface, Textures
from inspector.values import Pixels

MM_PER_PX = 0.5
WIDTH = 1600
COILS = 20

Picture = tuple[Pixels, float | None, float | None]
"""Pixels, left and right edge."""


def pictures(seed: int) -> list[Picture]:
    """A picture of each coil, with the edges that the simulator drew."""
    settings = StripSettings(seed, width=WIDTH, coil_frames=1)
    textures, found = Textures(settings), list[Picture]()
    for coil, frame in enumerate(itertools.islice(strip(settings), COILS)):
        presence = CoilSurface(settings, textures, coil).presence(np.arange(256))
        if presence is None:
            found.append((frame.pixels, None, None))
            continue
        inside = presence >= 0.5
        left, right = inside.argmax(axis=1).mean(), WIDTH - inside[:, ::-1].argmax(axis=1).mean()
        found.append((frame.pixels, left if left > 0 else None, right if right < WIDTH else None))
    return found


@pytest.fixture(scope="module")
def simulated() -> list[Picture]:
    return pictures(11)


def test_edges_lie_where_the_simulator_drew_them(
    simulated: list[Picture],
) -> None:
    """On twenty coils each edge is found within half a millimetre, the width within one, and none out of view."""
    shown = 0
    for pixels, left, right in simulated:
        found = find_edges(pixels)
        for truth, place in ((left, found.left_px), (right, found.right_px)):
            assert (truth is None) == (place is None)
            if truth is not None and place is not None:
                shown += 1
                assert abs(place - truth) * MM_PER_PX <= 0.5
    assert shown >= 5


def test_the_width_of_a_strip_with_both_edges_is_right_to_a_millimetre(
    simulated: list[Picture],
) -> None:
    """Left halves of pictures with a left edge beside right halves of pictures with a right edge."""
    lefts = [each for each in simulated if each[1] is not None and each[1] < WIDTH / 2 - 50]
    rights = [each for each in simulated if each[2] is not None and each[2] > WIDTH / 2 + 50]
    assert lefts
    assert rights
    for (one, left, _), (other, _, right) in zip(lefts * len(rights), rights * len(lefts), strict=True):
        both = np.ascontiguousarray(np.hstack([one[:, : WIDTH // 2], other[:, WIDTH // 2 :]]))
        found = find_edges(both)
        assert found.left_px is not None
        assert found.right_px is not None
        assert left is not None
        assert right is not None
        assert abs((found.right_px - found.left_px) - (right - left)) * MM_PER_PX <= 1.0


def steel(left: float, right: float, *, slant_px: float = 0.0, background: int = 4, grey: int = 110) -> Pixels:
    """A plain picture with a little noise."""
    random = np.random.default_rng(3)
    columns, rows = np.arange(800)[None, :], np.linspace(-0.5, 0.5, 256)[:, None]
    shift = slant_px * rows
    inside = np.clip(columns + 1 - left - shift, 0, 1) * np.clip(right + shift * 0 - columns + shift, 0, 1)
    picture = background + inside * (grey - background) + random.normal(0, 2.0, (256, 800))
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("slant_px", [0.0, 6.0, 20.0])
def test_a_slanting_strip_has_its_edges_in_the_middle_of_the_picture(slant_px: float) -> None:
    """A strip that wanders while the frame is taken."""
    found = find_edges(steel(100.3, 700.6, slant_px=slant_px))
    assert found.left_px == pytest.approx(100.3, abs=0.5 + slant_px / 20)
    assert found.right_px == pytest.approx(700.6, abs=0.5 + slant_px / 20)


def test_dirt_a_defect_and_specks_of_light_at_an_edge_do_not_move_it() -> None:
    """Three of eight bands are disturbed."""
    picture = steel(100, 700)
    picture[10:60, 100:160] = 3
    picture[70:90, 40:46] = 250
    picture[140:150, 100:108] = 255
    found = find_edges(picture)
    assert found.left_px == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    ("picture", "edges"),
    [
        (steel(-50, 900), Edges(None, None)),
        (np.zeros((256, 800), np.uint8), Edges(None, None)),
        (np.full((256, 800), 200, np.uint8), Edges(None, None)),
        (np.full((256, 40), 200, np.uint8), Edges(None, None)),
        (np.full((3, 800), 200, np.uint8), Edges(None, None)),
        (np.tile(np.linspace(10, 200, 800), (256, 1)).astype(np.uint8), Edges(None, None)),
    ],
    ids=["steel everywhere", "black", "plain", "narrow", "low", "light falls off"],
)
def test_no_edge_where_there_is_none(picture: Pixels, edges: Edges) -> None:
    """Neither light that falls off towards a side nor a picture without steel counts as an edge."""
    assert find_edges(picture) == edges


def test_a_lamp_behind_the_strip() -> None:
    """Bright background, dark steel."""
    found = find_edges(steel(100, 700, background=250, grey=60), bright_background=True)
    assert found.left_px == pytest.approx(100, abs=0.6)
    assert found.right_px == pytest.approx(700, abs=0.6)
    assert find_edges(steel(100, 700, background=250, grey=60)) == Edges(None, None)


def test_places_of_a_mirrored_camera_count_from_its_right_edge() -> None:
    """Smaller place first, on either camera."""
    plain = EdgeFinder(0.5, 1000.0).place(steel(100, 700))
    mirrored = EdgeFinder(0.5, 1000.0, mirrored=True).place(steel(100, 700))
    assert plain == pytest.approx((1050.0, 1350.0), abs=0.5)
    assert mirrored == pytest.approx((650.0, 950.0), abs=0.5)
