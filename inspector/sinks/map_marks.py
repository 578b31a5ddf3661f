"""Defects on a coil map: a mark each, or lanes of shaded tiles where they are too many to tell apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inspector.sinks.kind_colours import kind_shape
from inspector.sinks.number_text import metres, square_mm
from inspector.sinks.run_figures import StripDefect

MAX_MARKS: Final = 600
"""Beyond this, marks would only cover each other: each kind gets a lane of tiles instead."""
TILES: Final = (100, 6)
"""Tiles of a lane, along and across."""
TILE_SHADES: Final = 6
MARK_RADIUS_PX: Final = (3.5, 12.0)
"""Of the smallest and of the run's largest defect: area goes with area."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One defect."""

    along_pct: float
    across_pct: float
    shape: str
    """An SVG path around 0, 0, in pixels."""
    kind: int
    rejected: bool
    title: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the strip with defects of one kind; `shade` 1..TILE_SHADES."""

    along_pct: float
    across_pct: float
    shade: int
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The whole strip with the defects of one kind."""

    kind: int
    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The piece of strip that a map shows, and where on it a position lies."""

    start_mm: float
    length_mm: float
    width_mm: float

    def along_pct(self, mm: float) -> float:
        """Strip position in per cent of the drawing."""
        return 100 * (mm - self.start_mm) / self.length_mm

    def across_pct(self, mm: float) -> float:
        """Position across in per cent of the drawing, held inside it."""
        return min(max(100 * mm / self.width_mm, 0.0), 100.0)


def draw_marks(defects: Sequence[StripDefect], place: Place, largest_mm2: float) -> tuple[Mark, ...]:
    """A mark for each defect, large ones first, so that small ones lie on top."""
    return tuple(
        _mark(defect, place, largest_mm2) for defect in sorted(defects, key=lambda defect: -defect.area_mm2)
    )


def draw_lanes(defects: Sequence[StripDefect], place: Place) -> tuple[Lane, ...]:
    """A lane for each kind, its tiles shaded by the number of defects, on one scale for all kinds."""
    tiles: dict[tuple[int, str], dict[tuple[int, int], list[StripDefect]]] = {}
    for defect in defects:
        column = int(place.along_pct(defect.along_mm) / 100 * TILES[0])
        row = int(place.across_pct(defect.across_mm) / 100 * TILES[1])
        at = (min(max(column, 0), TILES[0] - 1), min(row, TILES[1] - 1))
        tiles.setdefault((defect.kind, defect.name), {}).setdefault(at, []).append(defect)
    most = max(len(held) for lane in tiles.values() for held in lane.values())
    return tuple(
        Lane(kind, name, tuple(_tile(at, held, place, most) for at, held in sorted(lane.items())))
        for (kind, name), lane in sorted(tiles.items())
    )


def _tile(at: tuple[int, int], held: list[StripDefect], place: Place, most: int) -> Tile:
    column, row = at
    start_mm = place.start_mm + column * place.length_mm / TILES[0]
    area_mm2 = sum(defect.area_mm2 for defect in held)
    return Tile(
        100 * column / TILES[0],
        100 * row / TILES[1],
        math.ceil(TILE_SHADES * len(held) / most),
        f"{len(held)} × {held[0].name}, {square_mm(area_mm2)} in all, from {metres(start_mm)}",
    )


def _mark(defect: StripDefect, place: Place, largest_mm2: float) -> Mark:
    share = min(1.0, defect.area_mm2 / largest_mm2) if largest_mm2 > 0 else 0.0
    radius_px = MARK_RADIUS_PX[0] + (MARK_RADIUS_PX[1] - MARK_RADIUS_PX[0]) * math.sqrt(share)
    where = f"{metres(defect.along_mm)}, {defect.across_mm:.0f} mm across"
    return Mark(
        place.along_pct(defect.along_mm),
        place.across_pct(defect.across_mm),
        mark_path(defect.kind, radius_px),
        defect.kind,
        defect.rejected,
        f"{defect.name}, {square_mm(defect.area_mm2)} at {where}",
    )


def mark_path(kind: int, radius_px: float) -> str:
    """The SVG path of a kind's mark around 0, 0; all shapes look equally large at one radius."""
    r = radius_px
    match kind_shape(kind):
        case "circle":
            return f"M{-r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0z"
        case "square":
            s = 0.89 * r
            return f"M{-s:.1f} {-s:.1f}h{2 * s:.1f}v{2 * s:.1f}h{-2 * s:.1f}z"
        case "triangle":
            return f"M0 {-1.3 * r:.1f}L{1.2 * r:.1f} {0.8 * r:.1f}H{-1.2 * r:.1f}z"
        case _:
            s = 1.25 * r
            return f"M0 {-s:.1f}L{s:.1f} 0L0 {s:.1f}L{-s:.1f} 0z"
