"""Fits frames of any size to an engine of one size: cuts large frames into tiles, pads small ones, joins the maps.

A tile overlaps its neighbours. Near its edges an engine sees only half of a defect and of the steel around it, so
each map cell is taken from the tile in which it lies furthest from an inner edge: tiles meet in the middle of
their overlap. Padding mirrors the frame at its edge, which looks like steel to the engine, and its part of the
maps is cut off. docs/decisions has the measurements.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import cv2
import msgspec
import numpy as np

from inspector.values import Pixels

LEAST_SIDE_PX: Final = 32
"""Shortest side of a frame that is padded: the trainer's networks halve a frame up to five times, so a shorter
one has no pixel left at their coarsest level."""

Size = tuple[int, int]
"""Height and width, px."""

Maps = tuple[Pixels, Pixels]
"""Kind and score, uint8 [⌈H/m⌉, ⌈W/m⌉]."""


class Fit(msgspec.Struct, frozen=True):
    """What may be done with frames of another size than the engine's."""

    engine: Size
    map_stride: int = 1
    tile: bool = False
    """Cut longer or wider frames into tiles."""
    pad: bool = False
    """Pad shorter or narrower frames."""
    overlap_px: int = 0
    """Least overlap of neighbouring tiles; at most half of the engine's side is used."""

    def tiles(self, frame: Size) -> "tuple[Tile, ...] | None":
        """The engine inputs that cover a frame, row by row; None when its size is not allowed."""
        return _tiles(self, frame)

    def inputs(self, frame: Size) -> int:
        """How many engine inputs a frame costs; a frame that cannot be inspected counts as one."""
        if frame == self.engine:
            return 1
        return len(self.tiles(frame) or (None,))

    def refusal(self, frame: Size) -> str:
        """Why a frame without tiles cannot be inspected, for people."""
        told = f"frame is {frame[0]}×{frame[1]}, the engine takes {self.engine[0]}×{self.engine[1]}"
        too_short = self.pad and min(frame) < LEAST_SIDE_PX
        return f"{told}; sides under {LEAST_SIDE_PX} px are not padded" if too_short else told


class Span(msgspec.Struct, frozen=True):
    """A tile along one axis."""

    start_px: int
    """Where it begins in the frame."""
    first: int
    end: int
    """Cells that it gives to the joined map, first to end − 1, counted from the frame's edge."""


class Tile(msgspec.Struct, frozen=True):
    """One engine input of a frame."""

    down: Span
    across: Span

    def cut(self, frame: Pixels, engine: Size) -> Pixels:
        """The tile's pixels, uint8 of the engine's size; beyond the frame it shows the frame mirrored."""
        y, x = self.down.start_px, self.across.start_px
        part = frame[y : y + engine[0], x : x + engine[1]]
        below, right = engine[0] - part.shape[0], engine[1] - part.shape[1]
        if not below and not right:
            return np.ascontiguousarray(part)
        return np.asarray(cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REFLECT_101), np.uint8)


class JoinedMaps:
    """The maps of one frame, filled tile by tile."""

    def __init__(self, frame: Size, map_stride: int) -> None:
        """`frame` is the frame's size; the maps have one cell for each `map_stride` px begun."""
        shape = tuple(-(-side // map_stride) for side in frame)
        self._stride = map_stride
        self._kind, self._score = np.empty(shape, np.uint8), np.empty(shape, np.uint8)

    def add(self, tile: Tile, kind: Pixels, score: Pixels) -> None:
        """Copy a tile's part of its maps, uint8 [h/m, w/m]."""
        down, across = tile.down, tile.across
        y, x = down.start_px // self._stride, across.start_px // self._stride
        here = (slice(down.first, down.end), slice(across.first, across.end))
        there = (slice(down.first - y, down.end - y), slice(across.first - x, across.end - x))
        self._kind[here], self._score[here] = kind[there], score[there]

    def maps(self) -> Maps:
        """The joined maps; call it once every tile is added."""
        return self._kind, self._score


@lru_cache(maxsize=64)
def _tiles(fit: Fit, frame: Size) -> tuple[Tile, ...] | None:
    for side, of_engine in zip(frame, fit.engine, strict=True):
        if (side > of_engine and not fit.tile) or (side < of_engine and not fit.pad):
            return None
    if frame != fit.engine and min(frame) < min(LEAST_SIDE_PX, *fit.engine):
        return None
    rows, columns = (
        _spans(side, of_engine, fit.map_stride, fit.overlap_px)
        for side, of_engine in zip(frame, fit.engine, strict=True)
    )
    return tuple(Tile(row, column) for row in rows for column in columns)


def _spans(side: int, tile: int, stride: int, overlap: int) -> list[Span]:
    """Tiles of `tile` px that cover `side` px, evenly spread, on the map's grid.

    The last one may reach over the frame's end by less than a map cell.
    """
    cells = -(-side // stride)
    if side <= tile:
        return [Span(0, 0, cells)]
    overlap = min(overlap, tile // 2, tile - stride)
    count = 1 + -(-(side - tile) // (tile - overlap))
    last = cells * stride - tile
    while True:
        starts = [round(last * index / (count - 1) / stride) * stride for index in range(count)]
        if all(before + tile - start >= overlap for before, start in pairwise(starts)):
            break
        count += 1  # rounding to the grid took a cell too much of an overlap
    meets = [(start + before + tile) // 2 // stride for before, start in pairwise(starts)]
    return [
        Span(start, first, end) for start, first, end in zip(starts, [0, *meets], [*meets, cells], strict=True)
    ]
