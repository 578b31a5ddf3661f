"""The coil as it lies on its sides: every defect once, whichever cameras saw it, from head to tail."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inspector.render.axis_ticks import Tick, end_ticks
from inspector.render.numbers import metres, square_mm
from inspector.sinks.coil_results import CoilResult

MOST_MARKS: Final = 3000
"""Most defects drawn on a side, the largest ones: more cannot be told apart on paper."""

SEVERITY_PX: Final = (3.0, 4.2, 5.6, 7.0)
"""Radius of a mark of severity 1, 2, 3 and more."""

MANY: Final = 300
CROWDED: Final = 0.6
"""Of more marks than MANY each is drawn smaller by this factor."""

TICKS_ALONG: Final = 8

LEAST_BLIND_PCT: Final = 0.15
"""Narrowest drawing of a stretch that was not inspected: it must be seen."""


@dataclass(frozen=True, slots=True)
class SideMark:
    """One defect; places are per cent of the drawing."""

    along_pct: float
    across_pct: float
    kind: int
    severity: int
    radius_px: float
    title: str


@dataclass(frozen=True, slots=True)
class RollLine:
    """A roll mark, from where to where."""

    from_pct: float
    to_pct: float
    across_pct: float
    title: str


@dataclass(frozen=True, slots=True)
class CoilSide:
    """One side of the coil."""

    side: str
    defects: int
    marks: tuple[SideMark, ...]
    rolls: tuple[RollLine, ...]
    blind: tuple[tuple[float, float], ...]
    """(start, width) of what was not inspected, per cent."""
    ticks_along: tuple[Tick, ...]
    width_mm: float


@dataclass(frozen=True, slots=True)
class SeverityRow:
    """Defects of one kind, by severity."""

    kind: int
    name: str
    by_severity: tuple[int, ...]
    total: int
    largest_mm2: float


def coil_sides(result: CoilResult, kinds: Mapping[str, int]) -> tuple[CoilSide, ...]:
    """The sides that cameras see, top first. `kinds` are the numbers of the classes."""
    seen = {each.side for each in result.defects} | {each.side for each in result.roll_marks} | {"top"}
    return tuple(_side(result, side, kinds) for side in sorted(seen, reverse=True))


def _side(result: CoilResult, side: str, kinds: Mapping[str, int]) -> CoilSide:
    here = [each for each in result.defects if each.side == side]
    length_mm = max(result.length_mm, 1.0)
    farthest_mm = max((each.across_mm for each in here), default=1000.0)
    left_mm, right_mm = result.left_mm, result.right_mm
    if right_mm <= left_mm:
        left_mm, right_mm = 0.0, result.width_mm or farthest_mm

    def along(mm: float) -> float:
        return min(100.0, max(0.0, 100 * mm / length_mm))

    def across(mm: float) -> float:
        return min(100.0, max(0.0, 100 * (mm - left_mm) / (right_mm - left_mm)))

    shown = sorted(here, key=lambda each: -each.area_mm2)[:MOST_MARKS]
    scale = 1.0 if len(shown) <= MANY else CROWDED
    marks = tuple(
        SideMark(
            along(each.from_head_mm), across(each.across_mm), kinds.get(each.name, 1), each.severity,
            scale * SEVERITY_PX[min(each.severity, len(SEVERITY_PX)) - 1],
            f"{each.name}, severity {each.severity}, {square_mm(each.area_mm2)} at {metres(each.from_head_mm)}",
        )
        for each in shown
    )  # fmt: skip
    rolls = tuple(
        RollLine(along(each.from_head_mm), along(each.to_head_mm), across(each.across_mm), each.text)
        for each in result.roll_marks
        if each.side == side
    )
    blind = tuple(
        (along(first), max(LEAST_BLIND_PCT, along(last) - along(first))) for first, last in result.uninspected
    )
    ticks = end_ticks(0.0, length_mm / 1000, TICKS_ALONG)
    return CoilSide(side, len(here), marks, rolls, blind, tuple(ticks), right_mm - left_mm)


def severity_rows(result: CoilResult, kinds: Mapping[str, int]) -> tuple[tuple[int, ...], tuple[SeverityRow, ...]]:
    """The severities that occur, and a row for each kind that was found."""
    by = Counter((each.name, each.severity) for each in result.defects)
    severities = tuple(range(1, max((severity for _, severity in by), default=1) + 1))
    largest: dict[str, float] = {}
    for each in result.defects:
        largest[each.name] = max(largest.get(each.name, 0.0), each.area_mm2)
    rows = [
        SeverityRow(
            kinds.get(name, 1),
            name,
            tuple(by[name, severity] for severity in severities),
            count,
            largest.get(name, 0),
        )
        for name, count in sorted(result.counts.items(), key=lambda each: (kinds.get(each[0], 256), each[0]))
    ]
    return severities, tuple(rows)
