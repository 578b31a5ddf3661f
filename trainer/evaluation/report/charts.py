"""Positions of what the page draws, in per cent of each chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inspector.render.axis_ticks import Tick, ticks

TICKS: Final = 5
CLASS_TICKS: Final = 3
AROUND: Final = 2.5
"""An axis reaches this many times as far as the chosen point or its interval."""
LEAST_AXIS: Final = 0.02
"""A good model's whole curve may lie in a corner; finer than 2 % no sample of frames can tell."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a chart: per cent from the left and from the top."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One stepped line and the point chosen on it."""

    kind: int
    """Defect kind 1..K, 0 for all together."""
    name: str
    path: str
    """SVG path in a box of 100 × 100."""
    points: tuple[Point, ...]
    chosen: Point
    defective_frames: int


@dataclass(frozen=True, slots=True)
class OperatingChart:
    """Escape over overkill."""

    common: Curve
    by_class: tuple[Curve, ...]
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]
    class_ticks_x: tuple[Tick, ...]
    """Of the classes' charts: all of one scale."""
    class_ticks_y: tuple[Tick, ...]
    box: tuple[float, float, float, float] | None
    """x, y, width, height of the chosen point's 95 % intervals; None where one is missing."""


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """Share of defect over score, and how many pixels say so."""

    points: tuple[Point, ...]
    bars: tuple[tuple[float, float, float, str], ...]
    """x, width, height, title; height by the logarithm of the pixels."""


def operating_chart(figures: Mapping[str, Any]) -> OperatingChart:
    """The curves of `operating_curve`, on axes that show what a line would choose among."""
    curve = figures["operating_curve"]
    common, by_class = curve["common_shift"], curve["by_class"]
    overkill, escape = figures["overkill_interval"], figures["escape_interval"]
    axes = _axes(
        [common["chosen"]["overkill"], overkill[1] if overkill else 0.0],
        [common["chosen"]["escape"], escape[1] if escape else 0.0],
    )
    class_axes = _axes(
        [one["chosen"]["overkill"] for one in by_class.values()],
        [one["chosen"]["escape"] for one in by_class.values()],
    )
    classes = list(figures["iou"])
    box = None
    if overkill and escape:
        left, right = 100 * overkill[0] / axes[0], 100 * min(overkill[1] / axes[0], 1.0)
        top, bottom = 100 - 100 * min(escape[1] / axes[1], 1.0), 100 - 100 * escape[0] / axes[1]
        box = (left, top, right - left, bottom - top)
    return OperatingChart(
        _curve(0, "all thresholds together", common, axes),
        tuple(_curve(classes.index(name), name, one, class_axes) for name, one in by_class.items()),
        ticks(0.0, 100 * axes[0], TICKS),
        ticks(0.0, 100 * axes[1], TICKS),
        ticks(0.0, 100 * class_axes[0], CLASS_TICKS),
        ticks(0.0, 100 * class_axes[1], CLASS_TICKS),
        box,
    )


def _axes(overkill: Sequence[float], escape: Sequence[float]) -> tuple[float, float]:
    """Ends of the axes: the chosen points and what lies around them, not the far ends nobody would choose."""
    ends = [min(1.0, max(LEAST_AXIS, AROUND * max(shares, default=0.0))) for shares in (overkill, escape)]
    return ends[0], ends[1]


def _curve(kind: int, name: str, curve: Mapping[str, Any], axes: tuple[float, float]) -> Curve:
    def place(point: Mapping[str, float]) -> Point:
        if "shift" in point:
            setting = f"thresholds {100 * point['shift']:+.0f} %"
        else:
            setting = f"threshold {100 * point['threshold']:.0f} %"
        title = f"{setting}: escape {100 * point['escape']:.1f} %, overkill {100 * point['overkill']:.1f} %"
        return Point(100 * point["overkill"] / axes[0], 100 - 100 * point["escape"] / axes[1], title)

    points = [place(point) for point in curve["points"]]
    return Curve(
        kind,
        name,
        _steps(points),
        tuple(point for point in points if point.x <= 100 and point.y >= 0),
        place(curve["chosen"]),
        curve["defective_frames"],
    )


def _steps(points: Sequence[Point]) -> str:
    """A staircase, cut off at the axes' ends: between two settings only what one of them reaches is claimed."""
    path = ""
    for before, point in zip([points[0], *points], points, strict=False):
        if point.x > 100.0:
            continue
        if not path:
            path = f"M{min(before.x, 100.0):.2f} {max(before.y, 0.0):.2f}"
        path += f"V{max(point.y, 0.0):.2f}"
        if point.y < 0.0:
            break
        path += f"H{point.x:.2f}"
    return path


def reliability_chart(curve: Sequence[Mapping[str, Any]]) -> ReliabilityChart:
    """The bins of `reliability_curve`."""
    most = max(math.log10(1 + row["pixels"]) for row in curve)
    points, bars = [], []
    for row in curve:
        title = (
            f"scored {100 * row['from']:.0f} to {100 * row['to']:.0f} %: {100 * row['defect_share']:.1f} % are "
            f"defect, of {row['pixels']:,} pixels".replace(",", "\N{NARROW NO-BREAK SPACE}")
        )
        points.append(Point(100 * row["mean_score"], 100 - 100 * row["defect_share"], title))
        width = 100 * (row["to"] - row["from"])
        height = 100 * math.log10(1 + row["pixels"]) / most
        bars.append((100 * row["from"], width, height, title))
    return ReliabilityChart(tuple(points), tuple(bars))
