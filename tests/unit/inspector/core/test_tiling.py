"""Cuts frames of any size into engine inputs and joins their maps."""

from itertools import pairwise

import numpy as np
import pytest

from inspector.core.tiling import LEAST_SIDE_PX, Fit, JoinedMaps
from inspector.values import Pixels

ENGINE = (64, 128)


def fit(stride: int = 2, overlap: int = 32, *, tile: bool = True, pad: bool = True) -> Fit:
    return Fit(ENGINE, stride, tile, pad, overlap)


def through(fit: Fit, frame: Pixels) -> tuple[Pixels, Pixels]:
    """The joined maps of an engine whose score is the pixel at each cell, and whose kind says which input."""
    tiles = fit.tiles((frame.shape[0], frame.shape[1]))
    assert tiles is not None
    maps = JoinedMaps((frame.shape[0], frame.shape[1]), fit.map_stride)
    for number, tile in enumerate(tiles):
        cut = tile.cut(frame, fit.engine)
        assert cut.shape == fit.engine
        score = np.ascontiguousarray(cut[:: fit.map_stride, :: fit.map_stride])
        maps.add(tile, np.full_like(score, number + 1), score)
    return maps.maps()


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(
    "size",
    [
        (64, 256),
        (64, 129),
        (65, 128),
        (64, 1000),
        (200, 300),
        (63, 127),
        (40, 1001),
        (301, 77),
        (32, 32),
        (127, 255),
    ],
)
def test_every_cell_of_the_joined_map_shows_its_own_place(size: tuple[int, int], stride: int) -> None:
    """Whatever the size, odd ones too: nothing is shifted, doubled or left out."""
    frame = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    _, score = through(fit(stride), frame)
    assert np.array_equal(score, frame[::stride, ::stride])


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("side", [*range(129, 420, 7), 1000, 3333])
def test_tiles_overlap_and_meet_in_the_middle(side: int, stride: int) -> None:
    """A cell is taken from a tile in which half the overlap, or the frame's edge, lies beyond it."""
    overlap = 32
    tiles = fit(stride, overlap).tiles((64, side))
    assert tiles is not None
    for before, after in pairwise(tiles):
        meet_px = after.across.first * stride
        assert before.across.end == after.across.first
        assert before.across.start_px + ENGINE[1] - after.across.start_px >= overlap
        assert meet_px - after.across.start_px >= overlap // 2 - stride
        assert before.across.start_px + ENGINE[1] - meet_px >= overlap // 2 - stride
    assert tiles[-1].across.start_px + ENGINE[1] - side < stride


def test_no_more_tiles_than_needed() -> None:
    """Two frames side by side with overlap are three inputs; one pixel more than the engine's width are two."""
    wide = Fit((256, 1600), 4, tile=True, overlap_px=128)
    assert [wide.inputs((256, width)) for width in (1600, 1601, 3072, 3200, 4800)] == [1, 2, 2, 3, 4]
    assert wide.inputs((512, 3200)) == 3 * 3, "rows cost more: their overlap is half of the engine's height"
    assert Fit((64, 128), 2, tile=True).inputs((64, 256)) == 2, "without overlap"


def test_the_padding_mirrors_the_frame_and_is_not_in_the_maps() -> None:
    """However little of the engine's input the frame fills; the joined map ends where the frame ends."""
    frame = np.random.default_rng(2).integers(0, 256, (40, 100), dtype=np.uint8)
    (tile,) = fit().tiles((40, 100)) or ()
    cut = tile.cut(frame, ENGINE)
    assert np.array_equal(cut[:40, 100:], frame[:, 71:99][:, ::-1])
    assert np.array_equal(cut[40:, :100], frame[15:39][::-1])
    _, score = through(fit(), frame)
    assert score.shape == (20, 50)


@pytest.mark.parametrize(
    ("size", "tile", "pad", "allowed"),
    [
        ((64, 256), True, False, True),
        ((64, 256), False, True, False),
        ((40, 100), False, True, True),
        ((40, 100), True, False, False),
        ((40, 256), True, False, False),
        ((40, 256), False, True, False),
        ((40, 256), True, True, True),
        ((LEAST_SIDE_PX - 1, 128), True, True, False),
        ((64, 128), False, False, True),
    ],
)
def test_only_what_the_config_allows(size: tuple[int, int], tile: bool, pad: bool, allowed: bool) -> None:
    """A frame that is larger one way and smaller the other needs both; a sliver is never padded."""
    found = fit(tile=tile, pad=pad)
    assert (found.tiles(size) is not None) == allowed
    if not allowed:
        assert found.inputs(size) == 1
        assert "the engine takes 64×128" in found.refusal(size)


def test_an_engine_smaller_than_the_least_side_takes_its_own_frames() -> None:
    """The limit is for padding, not for small engines."""
    assert Fit((16, 16)).inputs((16, 16)) == 1
    assert Fit((16, 16), tile=True).inputs((16, 40)) == 3
