"""Defects on a coil map: one mark each, or lanes of shaded tiles if there are too many to tell apart."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.numbers import thousands
from inspector.render.colours import kind_shape
from inspector.render.numbers import metres, square_mm
from inspector.report.strip_defects import DefectTable, StripDefect

MAX_MARKS: Final = 600
"""Most marks on a map; above this they would cover each other, and each kind gets a lane of tiles instead."""
TILES: Final = (100, 6)
"""Tiles of a lane, along and across."""
TILE_SHADES: Final = 6
MARK_RADIUS_PX: Final = (3.5, 12.0)
"""Radius of the smallest mark and of the run's largest defect; a mark's area grows with the defect's area."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of one defect."""

    along_pct: float
    across_pct: float
    shape: str
    """SVG path around 0, 0, in pixels."""
    kind: int
    rejected: bool
    title: str
    picture: str | None
    """Page element that shows the defect; None without one."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Part of the strip with defects of one kind; `shade` is 1..TILE_SHADES."""

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
    """The piece of strip that a map shows; converts positions to per cent of the drawing."""

    start_mm: float
    length_mm: float
    width_mm: float

    def along_pct(self, mm: float) -> float:
        """Strip position in per cent of the drawing."""
        return 100 * (mm - self.start_mm) / self.length_mm

    def across_pct(self, mm: float) -> float:
        """Position across in per cent of the drawing, limited to 0..100."""
        return min(max(100 * mm / self.width_mm, 0.0), 100.0)


def draw_marks(
    table: DefectTable, rows: Iterable[int], place: Place, largest_mm2: float, pictures: Mapping[int, str]
) -> tuple[Mark, ...]:
    """Return a mark for each of the `rows`, largest first, so that small ones are on top.

    `pictures` maps a defect's row to the page element that shows it.
    """
    ordered = sorted(rows, key=lambda row: -table.area_mm2[row])
    return tuple(_mark(table.row(row), place, largest_mm2, pictures.get(row)) for row in ordered)


def draw_lanes(table: DefectTable, place: Place) -> tuple[Lane, ...]:
    """Return a lane for each kind; tiles are shaded by the number of defects, on one scale for all kinds."""
    columns, rows = TILES
    along = (np.asarray(table.along_mm) - place.start_mm) / place.length_mm
    across = np.asarray(table.across_mm, np.float64) / place.width_mm
    column = np.clip((along * columns).astype(np.int64), 0, columns - 1)
    tile = column * rows + np.clip((across * rows).astype(np.int64), 0, rows - 1)
    areas_mm2 = np.asarray(table.area_mm2, np.float64)
    lanes = []
    for index, key in enumerate(table.names):
        own = table.rows_of(index)
        held = np.bincount(tile[own], minlength=columns * rows)
        lanes.append((key, held, np.bincount(tile[own], areas_mm2[own], minlength=columns * rows)))
    most = max(int(held.max()) for _, held, _ in lanes)
    return tuple(
        Lane(
            kind,
            name,
            tuple(
                _tile(at, name, int(held[at]), float(area_mm2[at]), place, most)
                for at in np.flatnonzero(held).tolist()
            ),
        )
        for (kind, name), held, area_mm2 in sorted(lanes, key=lambda lane: lane[0])
    )


def _tile(at: int, name: str, held: int, area_mm2: float, place: Place, most: int) -> Tile:
    column, row = divmod(at, TILES[1])
    start_mm = place.start_mm + column * place.length_mm / TILES[0]
    return Tile(
        100 * column / TILES[0],
        100 * row / TILES[1],
        math.ceil(TILE_SHADES * held / most),
        f"{held} × {name}, {square_mm(area_mm2)} in all, from {metres(start_mm)}",
    )


def _mark(defect: StripDefect, place: Place, largest_mm2: float, picture: str | None) -> Mark:
    share = min(1.0, defect.area_mm2 / largest_mm2) if largest_mm2 > 0 else 0.0
    radius_px = MARK_RADIUS_PX[0] + (MARK_RADIUS_PX[1] - MARK_RADIUS_PX[0]) * math.sqrt(share)
    where = f"{metres(defect.along_mm)}, {thousands(defect.across_mm)} mm across"
    return Mark(
        place.along_pct(defect.along_mm),
        place.across_pct(defect.across_mm),
        mark_path(defect.kind, radius_px),
        defect.kind,
        defect.rejected,
        f"{defect.name}, {square_mm(defect.area_mm2)} at {where}",
        picture,
    )


def mark_path(kind: int, radius_px: float) -> str:
    """Return the SVG path of a kind's mark around 0, 0; all shapes look equally large at one radius."""
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
