"""The plan of one coil: the position of every mark, before anything is drawn."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from inspector.sources.simulator.annotations import (
    ACROSS,
    COMPONENTS,
    KINDS_OF_A_FRAME,
    MIN_AREA_PX,
    SHAPE_SPREAD,
    SHAPES,
    THROUGH_FROM_PX,
    THROUGH_SHARE,
)
from inspector.sources.simulator.blemishes import BLEMISHES
from inspector.sources.simulator.defects import DEFECTS, PITS
from inspector.sources.simulator.mark import Mark
from inspector.sources.simulator.scratches import SCRATCHES
from inspector.sources.simulator.settings import StripSettings
from inspector.sources.simulator.surface import CoilSurface

MIN_PART_PX: Final = 48
"""Fewest rows of a defect that a frame shows: annotators do not label a small remainder at a frame's border."""
BORDER_GAP_PX: Final = 2
"""Rows between a frame's border and a defect that ends there, so that its end is visible."""
EDGE_CLEARANCE_PX: Final = 12
"""Distance of defects from the strip's edge, so that their labels lie on steel."""
GROUP_REACH_PX: Final = 260
"""Spread of a group of pits across the strip: twice the standard deviation from one pit to the next."""
GOES_ON_PX: Final = 300.0
"""Mean length by which a scratch continues beyond its frame. The data has no figure; this one makes it end
soon."""
TRIES: Final = 20
"""Attempts to place a defect by the measured positions, before it is placed anywhere on the visible steel."""
PROBES: Final = 600
"""Bad places drawn to estimate how many frames one marks; enough for 3 % accuracy of the defective share."""
ALMOST_NONE: Final = 0.02
"""Smallest share of clean frames. Random places can never mark every frame, so a defective share of 1 is
limited."""
OVERLAP_WINDOW: Final = 64
"""Earlier defects that a new one must not overlap: more than two frames contain."""
MIN_COLUMNS: Final = 16
MIN_ROWS: Final = 24
"""MIN_ROWS × MIN_COLUMNS is the smallest box in which every kind fits with its label."""
LARGEST_SHARE: Final = 0.8
"""Largest width of a mark, as a share of the frame's width."""

ROLL_MARK_PX: Final = 56
"""Rows and columns of a roll's mark."""

_DEFECT_STREAM, _BLEMISH_STREAM, _PROBE_STREAM, _ROLL_STREAM = 3, 4, 5, 6


def _box(rng: np.random.Generator, kind: int, settings: StripSettings) -> tuple[int, int]:
    """Draw the rows and columns of one component of `kind`."""
    shapes = np.array(SHAPES[kind])
    wide, high = shapes[rng.choice(len(shapes), p=shapes[:, 2] / shapes[:, 2].sum()), :2]
    spread_wide, spread_high = SHAPE_SPREAD[kind]
    wide, high = wide * np.exp(rng.normal(0, spread_wide)), high * np.exp(rng.normal(0, spread_high))
    grow = max(1.0, np.sqrt(MIN_AREA_PX[kind] / (wide * high)))
    if kind == SCRATCHES and high >= THROUGH_FROM_PX and rng.random() < THROUGH_SHARE:
        high += rng.exponential(GOES_ON_PX)
    columns = int(np.clip(wide * grow, MIN_COLUMNS, LARGEST_SHARE * settings.width))
    return max(MIN_ROWS, int(high * grow)), columns


def _centre_across(rng: np.random.Generator, kind: int, settings: StripSettings) -> float:
    weights = np.array(ACROSS[kind])
    sixteenth = rng.choice(len(weights), p=weights / weights.sum())
    return float((sixteenth + rng.random()) / len(weights) * settings.width)


@dataclass(frozen=True, slots=True)
class _Steel:
    """The area of a coil in which defects may lie, px."""

    left: float
    right: float
    first_row: int
    end_row: int


def _settle(top: int, rows: int, height: int, steel: _Steel) -> tuple[int, int] | None:
    """Adjust `top` and `rows` so that each frame that shows the mark shows at least MIN_PART_PX rows or all of it.

    Returns None when the mark would leave the steel.
    """
    top = min(max(top, steel.first_row), steel.end_row - rows)
    before = height - top % height
    if before < min(MIN_PART_PX, rows):
        top += before + BORDER_GAP_PX
    beyond = (top + rows) % height
    if beyond < min(MIN_PART_PX, rows):
        if rows - beyond > height / 2:
            rows -= beyond + BORDER_GAP_PX
        else:
            top -= beyond + BORDER_GAP_PX
    return (top, rows) if steel.first_row <= top and top + rows <= steel.end_row else None


def _place(
    rng: np.random.Generator,
    kind: int,
    frame: int,
    near: float | None,
    settings: StripSettings,
    steel: _Steel,
    seed: tuple[int, ...],
) -> Mark | None:
    """Place one component that starts around `frame` on the steel; returns None when it does not fit."""
    rows, columns = _box(rng, kind, settings)
    columns = min(columns, int(steel.right - steel.left))
    rows = min(rows, steel.end_row - steel.first_row)
    if columns < MIN_COLUMNS or rows < MIN_ROWS:
        return None
    for _ in range(TRIES):
        centre = _centre_across(rng, kind, settings) if near is None else rng.normal(near, GROUP_REACH_PX / 2)
        if steel.left + columns / 2 <= centre <= steel.right - columns / 2:
            break
    else:
        centre = rng.uniform(steel.left + columns / 2, steel.right - columns / 2)
    middle = (frame + rng.random()) * settings.height
    first_half = min(rows, settings.height) / 2  # a long scratch continues from the frame in which it starts
    place = _settle(int(middle - first_half), rows, settings.height, steel)
    if place is None:
        return None
    top, rows = place
    return Mark(top, int(centre - columns / 2), rows, columns, DEFECTS[kind], seed)


def _bad_place(
    rng: np.random.Generator, frame: int, settings: StripSettings, steel: _Steel, seed: tuple[int, ...]
) -> list[Mark]:
    """Draw the defects of one bad place around `frame`, with kinds and numbers as in the real frames."""
    combinations = list(KINDS_OF_A_FRAME)
    weights = np.array(list(KINDS_OF_A_FRAME.values()), float)
    marks: list[Mark] = []
    for kind in combinations[rng.choice(len(combinations), p=weights / weights.sum())]:
        shares = np.array(COMPONENTS[kind])
        near = None
        for _ in range(1 + int(rng.choice(len(shares), p=shares / shares.sum()))):
            mark = _place(rng, kind, frame, near, settings, steel, (*seed, len(marks)))
            if mark is None:
                continue
            if not any(_overlap(mark, other) for other in marks):
                marks.append(mark)
            if kind == PITS:
                near = mark.left + mark.columns / 2
    return marks


@lru_cache(maxsize=8)
def _chance_of_bad_place(settings: StripSettings) -> float:
    """Return the expected number of bad places per frame at which `defective_share` of the frames show one.

    With n frames marked by each place, and independent places, a share of 1 − exp(−chance · n) of the frames is
    marked.
    """
    if settings.defective_share == 0.0:
        return 0.0
    rng = np.random.default_rng([settings.seed, _PROBE_STREAM])
    height = settings.height
    steel = _Steel(0.0, float(settings.width), 0, settings.coil_frames * height)
    marked = 0
    for _ in range(PROBES):
        marks = _bad_place(rng, int(rng.integers(settings.coil_frames)), settings, steel, ())
        marked += len({f for m in marks for f in range(m.top // height, (m.bottom - 1) // height + 1)})
    clean = max(ALMOST_NONE, 1.0 - settings.defective_share)
    return -float(np.log(clean)) * PROBES / max(marked, 1)


def marks_for(settings: StripSettings, seed: int, left: int, right: int) -> tuple[list[Mark], list[Mark]]:
    """Harmless marks and the defects of one bad place, for one frame of steel between two columns."""
    steel = _Steel(float(left), float(right), 0, settings.height)
    key = (settings.seed, _DEFECT_STREAM, seed)
    defects = _bad_place(np.random.default_rng(key), 0, settings, steel, key)
    return _blemishes(settings, seed), defects


class CoilPlan:
    """The marks of one coil, ordered by first row: `defects` and harmless `blemishes`."""

    def __init__(self, settings: StripSettings, surface: CoilSurface, coil: int, strip_row: int = 0) -> None:
        """`strip_row` is the coil's first row on the strip: rolls turn on from coil to coil."""
        edges = surface.edges
        margin = EDGE_CLEARANCE_PX + edges.sway_px
        steel = _Steel(
            left=max(0.0, edges.left + margin),
            right=min(float(settings.width), edges.right - margin),
            first_row=edges.head_rows + EDGE_CLEARANCE_PX * (edges.head_rows > 0),
            end_row=surface.rows - edges.tail_rows - EDGE_CLEARANCE_PX * (edges.tail_rows > 0),
        )
        marks = _roll_marks(settings, steel, coil, strip_row)
        marks += [
            mark for mark in _defects(settings, steel, coil) if not any(_overlap(mark, other) for other in marks)
        ]
        self.defects = tuple(sorted(marks, key=lambda mark: mark.top))
        self.blemishes = tuple(sorted(_blemishes(settings, coil), key=lambda mark: mark.top))


def _defects(settings: StripSettings, steel: _Steel, coil: int) -> list[Mark]:
    chance = _chance_of_bad_place(settings)
    marks: list[Mark] = []
    for frame in range(settings.coil_frames):
        seed = (settings.seed, _DEFECT_STREAM, coil, frame)
        rng = np.random.default_rng(seed)
        for _ in range(int(rng.poisson(chance))):
            near = marks[-OVERLAP_WINDOW:]
            marks += [
                mark
                for mark in _bad_place(rng, frame, settings, steel, (*seed, len(marks)))
                if not any(_overlap(mark, other) for other in near)
            ]
    return marks


def _roll_marks(settings: StripSettings, steel: _Steel, coil: int, strip_row: int) -> list[Mark]:
    """Return the roll's marks: one shape at one place across, once per turn, with some turns missed.

    A coil that is narrower than the roll's mark lies across has none.
    """
    period_px = settings.roll_period_px
    if period_px is None:
        return []
    rng = np.random.default_rng([settings.seed, _ROLL_STREAM])
    left = int(rng.uniform(0, settings.width - ROLL_MARK_PX))
    phase = rng.uniform(0, period_px) - strip_row
    if left < steel.left or left + ROLL_MARK_PX > steel.right:
        return []
    missed = np.random.default_rng([settings.seed, _ROLL_STREAM, coil])
    first = steel.first_row + (phase - steel.first_row) % period_px
    turns = int((steel.end_row - ROLL_MARK_PX - first) // period_px) + 1
    seed = (settings.seed, _ROLL_STREAM, 1)
    return [
        Mark(round(first + turn * period_px), left, ROLL_MARK_PX, ROLL_MARK_PX, DEFECTS[PITS], seed)
        for turn in range(turns)
        if missed.random() >= settings.roll_missed_share
    ]


def _blemishes(settings: StripSettings, coil: int) -> list[Mark]:
    rng = np.random.default_rng([settings.seed, _BLEMISH_STREAM, coil])
    # coils differ in dirt; the settings give the mean
    dirt = settings.blemishes_per_frame * rng.uniform(0.3, 1.7)
    shares = np.array([share for _, share, _ in BLEMISHES])
    marks = []
    for i in range(int(rng.poisson(dirt * settings.coil_frames))):
        draw, _, size = BLEMISHES[rng.choice(len(BLEMISHES), p=shares / shares.sum())]
        rows, columns = size(rng)
        columns = min(columns, LARGEST_SHARE * settings.width)
        top = int(rng.uniform(0, settings.coil_frames * settings.height) - rows / 2)
        left = int(rng.uniform(0, settings.width) - columns / 2)
        seed = (settings.seed, _BLEMISH_STREAM, coil, 1, i)
        marks.append(Mark(top, left, int(rows), int(columns), draw, seed))
    return marks


def _overlap(one: Mark, other: Mark) -> bool:
    """Return whether the boxes of two marks overlap: two labels on the same steel would both be wrong."""
    return (
        one.top < other.bottom
        and other.top < one.bottom
        and one.left < other.left + other.columns
        and other.left < one.left + one.columns
    )
