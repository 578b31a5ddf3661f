"""A coil drawn to scale: rejected and uninspected strip, and every defect at its position.

Positions are per cent of the drawing, so that it fits a screen, a phone and a sheet of paper; marks and text keep
their size in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.numbers import thousands
from inspector.render.axis_ticks import Tick, end_ticks
from inspector.render.numbers import frames as frame_count
from inspector.render.numbers import metres
from inspector.report.map_marks import MAX_MARKS, Lane, Mark, Place, draw_lanes, draw_marks
from inspector.report.run_figures import REJECTED, UNINSPECTED, Strip
from inspector.report.strip_length import FrameSize, covered, frame_length_mm_of, in_order

MAX_COLUMNS: Final = 800
"""Most columns of a map; above this, several frames share a column, because a screen shows no more."""
SHARE_STEPS: Final = 6
"""Number of shades for a column's share of rejected frames: a tenth of a coil must not look like all of it."""

DRAWN_WIDTH_PX: Final = 1060
"""Width on a desktop screen; it only affects the scale across."""
LEAST_WIDTH_PX: Final = 360
HEIGHT_PX: Final = (150, 300)
"""Lowest and highest drawing. Within this range and the widths above, a strip keeps its true proportions."""
DENSE_HEIGHT_PX: Final = 56
"""Height of the strip when the defects have their own lanes and the strip shows only frames."""
TRUE_ENOUGH: Final = 1.1
"""Largest stretch of one axis without a note; a smaller one is not visible."""

TICKS_ALONG: Final = 6
TICKS_ACROSS: Final = 3
MOST_BARE: Final = 0.25
GAP: Final = 1.5
"""Distance between the first rows of two frames, in frame lengths, above which bare strip is between them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of strip with one answer; `shade` is 1..SHARE_STEPS."""

    start_pct: float
    width_pct: float
    shade: int
    title: str


@dataclass(frozen=True, slots=True)
class CoilMap:
    """Everything the template draws of one strip."""

    camera: str
    coil: str | None
    since: str | None
    """First capture, if several strips have this camera and coil."""
    frames: int
    rejected: int
    uninspected: int
    defects: int
    inspected_mm: float
    uninspected_mm: float
    height_px: int
    width_px: int
    seen: tuple[Stretch, ...]
    rejects: tuple[Stretch, ...]
    blind: tuple[Stretch, ...]
    marks: tuple[Mark, ...]
    """All defects, or only those shown in a picture if there are more than MAX_MARKS."""
    lanes: tuple[Lane, ...]
    """All defects, if there are more than MAX_MARKS; else empty."""
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
    strip: Strip, largest_mm2: float, frame: FrameSize, pictures: Mapping[int, str], since: str | None = None
) -> CoilMap:
    """Lay out one strip; marks are scaled to `largest_mm2`, the run's largest defect.

    `pictures` maps a defect's row to the page element that shows it. An unknown frame length is estimated from the
    distance between frames, an unknown strip width from the outermost defect. A note says what could not be
    determined.
    """
    notes: list[str] = []
    starts_mm, decisions = in_order(strip)
    table = strip.defects
    frame_length_mm = frame.length_mm or frame_length_mm_of(strip, starts_mm, notes)
    width_mm = frame.width_mm
    if width_mm is None:
        width_mm = max(table.across_mm, default=0.0)
        notes.append("the strip's width is not known: drawn up to the outermost defect")
    place = Place(*_axis(starts_mm, frame_length_mm), width_mm if width_mm > 0 else 1.0)
    columns = _columns(starts_mm, decisions, place, frame_length_mm)
    dense = len(table) > MAX_MARKS
    width_px, height_px = (DRAWN_WIDTH_PX, DENSE_HEIGHT_PX) if dense else _size_px(place.length_mm, place.width_mm)
    if dense:
        notes.append(
            "too many defects to mark each: a row for each kind, darker where there are more; marked are those "
            "that a picture below shows"
        )
    elif frame.width_mm is not None:
        _tell_proportions(height_px / place.width_mm / (width_px / place.length_mm), notes)
    lengths = covered(strip, frame_length_mm)
    return CoilMap(
        camera=strip.camera,
        coil=strip.coil,
        since=since,
        frames=len(decisions),
        rejected=strip.decisions.count(REJECTED),
        uninspected=strip.decisions.count(UNINSPECTED),
        defects=len(table),
        inspected_mm=lengths.inspected_mm,
        uninspected_mm=lengths.uninspected_mm,
        height_px=height_px,
        width_px=width_px,
        seen=_stretches(columns, columns.frames, "inspected", place, frame_length_mm),
        rejects=_stretches(columns, columns.rejected, "rejected", place, frame_length_mm),
        blind=_stretches(columns, columns.uninspected, "not inspected", place, frame_length_mm),
        marks=draw_marks(table, pictures if dense else range(len(table)), place, largest_mm2, pictures),
        lanes=draw_lanes(table, place) if dense else (),
        ticks_along=end_ticks(place.start_mm / 1000, place.length_mm / 1000, TICKS_ALONG, least_digits=2),
        ticks_across=()
        if dense or not (frame.width_mm or len(table))
        else end_ticks(0.0, place.width_mm, TICKS_ACROSS),
        notes=tuple(notes),
    )


def _axis(starts_mm: NDArray[np.float64], frame_length_mm: float) -> tuple[float, float]:
    """Start and length of the axis. It starts at 0, so that bare strip at the head of the coil shows.

    If that would leave more than a quarter of the drawing bare, it starts at the first frame: a line that counts
    on from coil to coil has its later coils far from 0.
    """
    first_mm, end_mm = float(starts_mm[0]), float(starts_mm[-1]) + frame_length_mm
    start_mm = 0.0 if 0 <= first_mm <= MOST_BARE * end_mm else first_mm
    return start_mm, end_mm - start_mm


def _size_px(length_mm: float, width_mm: float) -> tuple[int, int]:
    """Width and height of the drawing: full page width, or less for a short piece that would become too high."""
    least_px, most_px = HEIGHT_PX
    width_px = min(DRAWN_WIDTH_PX, max(LEAST_WIDTH_PX, round(most_px * length_mm / width_mm)))
    return width_px, round(min(max(width_px * width_mm / length_mm, least_px), most_px))


def _tell_proportions(across_to_along: float, notes: list[str]) -> None:
    factor = max(across_to_along, 1 / across_to_along)
    if factor > TRUE_ENOUGH:
        more, less = ("across", "along") if across_to_along > 1 else ("along", "across")
        notes.append(f"{more} is drawn {factor:.{0 if factor >= 10 else 1}f} times larger than {less}")


def _columns(
    starts: NDArray[np.float64], decisions: NDArray[np.uint8], place: Place, frame_length_mm: float
) -> _Columns:
    if len(starts) <= MAX_COLUMNS:
        ends = np.minimum(starts + frame_length_mm, np.append(starts[1:], np.inf))
        ones = np.ones(len(starts), np.int64)
        rejected, uninspected = decisions == REJECTED, decisions == UNINSPECTED
        return _Columns(starts, ends, ones, rejected.astype(np.int64), uninspected.astype(np.int64))
    share = (starts - place.start_mm) / place.length_mm
    column = np.minimum((share * MAX_COLUMNS).astype(np.int64), MAX_COLUMNS - 1)
    edges = place.start_mm + np.arange(MAX_COLUMNS + 1) * place.length_mm / MAX_COLUMNS
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
    """Merge neighbouring columns of one shade; a column with any chosen frame gets at least the lightest shade."""
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
        share = frame_count(hits) if hits == frames else f"{thousands(hits)} of {frame_count(frames)}"
        stretches.append(
            Stretch(
                place.along_pct(start_mm),
                100 * (end_mm - start_mm) / place.length_mm,
                int(shades[first]),
                f"{what}: {share}, {metres(start_mm)} to {metres(end_mm)}",
            )
        )
    return tuple(stretches)
