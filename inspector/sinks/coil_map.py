"""A coil drawn to scale: what was rejected, what was not inspected, and every defect in its place.

Places along and across are per cent of the drawing, so that it fits a screen, a phone and a sheet of paper;
marks and text keep their size in pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.sinks.map_marks import MAX_MARKS, Lane, Mark, Place, draw_lanes, draw_marks
from inspector.sinks.number_text import metres, thousands
from inspector.sinks.run_figures import REJECTED, UNINSPECTED, Strip

MAX_COLUMNS: Final = 800
"""Frames are put together in columns beyond this: a screen shows no more."""
SHARE_STEPS: Final = 6
"""Shades of a column by its share of rejected frames: a tenth of a coil must not look like all of it."""

DRAWN_WIDTH_PX: Final = 1060
"""Width on a desk's screen; only the scale across depends on it."""
LEAST_WIDTH_PX: Final = 360
HEIGHT_PX: Final = (150, 300)
"""A strip is drawn in true proportions where its height and width can be held to these."""
DENSE_HEIGHT_PX: Final = 56
"""Where the defects have lanes of their own, the strip above them shows its frames only."""
TRUE_ENOUGH: Final = 1.1
"""Nobody sees a stretch smaller than this."""

TICKS_ALONG: Final = 6
TICKS_ACROSS: Final = 3
GAP: Final = 1.5
"""Frames whose first rows lie further apart than this many frame lengths have bare strip between them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of strip with one answer; `shade` 1..SHARE_STEPS."""

    start_pct: float
    width_pct: float
    shade: int
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at_pct: float
    label: str


@dataclass(frozen=True, slots=True)
class CoilMap:
    """All that the template draws of one strip."""

    camera: str
    coil: str | None
    frames: int
    rejected: int
    uninspected: int
    defects: int
    start_mm: float
    length_mm: float
    height_px: int
    width_px: int
    seen: tuple[Stretch, ...]
    rejects: tuple[Stretch, ...]
    blind: tuple[Stretch, ...]
    marks: tuple[Mark, ...]
    lanes: tuple[Lane, ...]
    """In place of the marks, where those would be too many."""
    ticks_along: tuple[Tick, ...]
    ticks_across: tuple[Tick, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Frames, or groups of neighbouring frames, in the order of the strip."""

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    frames: NDArray[np.int64]
    rejected: NDArray[np.int64]
    uninspected: NDArray[np.int64]


def draw_coil_map(
    strip: Strip, largest_mm2: float, frame_length_mm: float | None, strip_width_mm: float | None
) -> CoilMap:
    """Lay out one strip; marks are sized against `largest_mm2`, the run's largest defect.

    Where the frame's length or the strip's width is not known (None) it is taken from the distance between
    frames and from the defects, and a note says what could not be told.
    """
    notes: list[str] = []
    starts_mm = np.sort(np.asarray(strip.positions_mm, np.float64))
    if frame_length_mm is None:
        frame_length_mm = _frame_length_mm(strip, starts_mm, notes)
    width_mm = strip_width_mm
    if width_mm is None:
        width_mm = max((d.across_mm for d in strip.defects.values()), default=0.0)
        notes.append("the strip's width is not known: drawn up to the outermost defect")
    start_mm, length_mm = float(starts_mm[0]), float(starts_mm[-1] - starts_mm[0]) + frame_length_mm
    width_mm = width_mm if width_mm > 0 else 1.0
    columns = _columns(strip, start_mm, length_mm, frame_length_mm)
    defects = list(strip.defects.values())
    dense = len(defects) > MAX_MARKS
    width_px, height_px = (DRAWN_WIDTH_PX, DENSE_HEIGHT_PX) if dense else _size_px(length_mm, width_mm)
    if dense:
        notes.append("too many defects to mark each: a row for each kind, darker where there are more")
    elif strip_width_mm is not None:
        _tell_proportions(height_px / width_mm / (width_px / length_mm), notes)
    place = Place(start_mm, length_mm, width_mm)
    return CoilMap(
        camera=strip.camera,
        coil=strip.coil,
        frames=len(strip.decisions),
        rejected=strip.decisions.count(REJECTED),
        uninspected=strip.decisions.count(UNINSPECTED),
        defects=len(defects),
        start_mm=start_mm,
        length_mm=length_mm,
        height_px=height_px,
        width_px=width_px,
        seen=_stretches(columns, columns.frames, "inspected", place, frame_length_mm),
        rejects=_stretches(columns, columns.rejected, "rejected", place, frame_length_mm),
        blind=_stretches(columns, columns.uninspected, "not inspected", place, frame_length_mm),
        marks=() if dense else draw_marks(defects, place, largest_mm2),
        lanes=draw_lanes(defects, place) if dense else (),
        ticks_along=ticks(start_mm / 1000, length_mm / 1000, TICKS_ALONG),
        ticks_across=() if dense or not (strip_width_mm or defects) else ticks(0.0, width_mm, TICKS_ACROSS),
        notes=tuple(notes),
    )


def _size_px(length_mm: float, width_mm: float) -> tuple[int, int]:
    """Width and height of the drawing: as wide as the page, less for a short piece that would get too high."""
    least_px, most_px = HEIGHT_PX
    width_px = min(DRAWN_WIDTH_PX, max(LEAST_WIDTH_PX, round(most_px * length_mm / width_mm)))
    return width_px, round(min(max(width_px * width_mm / length_mm, least_px), most_px))


def _tell_proportions(across_to_along: float, notes: list[str]) -> None:
    factor = max(across_to_along, 1 / across_to_along)
    if factor > TRUE_ENOUGH:
        more, less = ("across", "along") if across_to_along > 1 else ("along", "across")
        notes.append(f"{more} is drawn {factor:.{0 if factor >= 10 else 1}f} times larger than {less}")


def _frame_length_mm(strip: Strip, starts_mm: NDArray[np.float64], notes: list[str]) -> float:
    """A verdict holds where a frame begins, not where it ends: the usual distance to the next one says it."""
    steps_mm = np.diff(starts_mm)
    if (steps_mm > 0).any():
        return float(np.median(steps_mm[steps_mm > 0]))
    what = "a single frame" if len(starts_mm) == 1 else "all frames at one position"
    notes.append(f"{what}: the length on the strip is not known, drawn up to the furthest defect")
    return max(strip.reach_mm * 1.1, 1.0)


def _columns(strip: Strip, start_mm: float, length_mm: float, frame_length_mm: float) -> _Columns:
    order = np.argsort(np.asarray(strip.positions_mm), kind="stable")
    starts = np.asarray(strip.positions_mm, np.float64)[order]
    decisions = np.asarray(strip.decisions)[order]
    if len(starts) <= MAX_COLUMNS:
        ends = np.minimum(starts + frame_length_mm, np.append(starts[1:], np.inf))
        ones = np.ones(len(starts), np.int64)
        rejected, uninspected = decisions == REJECTED, decisions == UNINSPECTED
        return _Columns(starts, ends, ones, rejected.astype(np.int64), uninspected.astype(np.int64))
    column = np.minimum(((starts - start_mm) / length_mm * MAX_COLUMNS).astype(np.int64), MAX_COLUMNS - 1)
    edges = start_mm + np.arange(MAX_COLUMNS + 1) * length_mm / MAX_COLUMNS
    return _Columns(
        edges[:-1],
        edges[1:],
        *(
            np.bincount(column[chosen], minlength=MAX_COLUMNS)
            for chosen in (slice(None), decisions == REJECTED, decisions == UNINSPECTED)
        ),
    )


def _stretches(
    columns: _Columns, chosen: NDArray[np.int64], what: str, place: Place, frame_length_mm: float
) -> tuple[Stretch, ...]:
    """Neighbouring columns of one shade, put together; a column with one chosen frame is never left bare."""
    shades = np.ceil(SHARE_STEPS * chosen / np.maximum(columns.frames, 1)).astype(np.int64)
    gaps = columns.start_mm[1:] - columns.end_mm[:-1] > (GAP - 1) * frame_length_mm
    cuts = np.flatnonzero((np.diff(shades) != 0) | gaps) + 1
    edges = [0, *cuts.tolist(), len(shades)]
    stretches = []
    for first, end in pairwise(edges):
        if not shades[first]:
            continue
        start_mm, end_mm = float(columns.start_mm[first]), float(columns.end_mm[end - 1])
        hits, frames = int(chosen[first:end].sum()), int(columns.frames[first:end].sum())
        share = f"{hits} of {frames} frames" if hits != frames else f"{hits} frame{'s' * (hits != 1)}"
        stretches.append(
            Stretch(
                place.along_pct(start_mm),
                100 * (end_mm - start_mm) / place.length_mm,
                int(shades[first]),
                f"{what}: {share}, {metres(start_mm)} to {metres(end_mm)}",
            )
        )
    return tuple(stretches)


def ticks(start: float, length: float, wanted: int) -> tuple[Tick, ...]:
    """Round numbers, at most `wanted` + 1 of them."""
    step = _round_step(length / wanted)
    digits = max(0, -math.floor(math.log10(step)))
    return tuple(
        Tick(100 * (value - start) / length, thousands(value, digits))
        for value in _multiples(start, start + length, step)
    )


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def _multiples(start: float, end: float, step: float) -> Iterator[float]:
    for n in range(math.ceil(start / step - 1e-9), math.floor(end / step + 1e-3) + 1):
        yield n * step
