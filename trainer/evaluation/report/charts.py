"""Coordinates of the report's charts, in percent of each chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inspector.numbers import thousands
from inspector.render.axis_ticks import Tick, ticks

TICKS: Final = 5
CLASS_TICKS: Final = 3
AROUND: Final = 2.5
"""Length of an axis, as a multiple of the chosen point or the end of its interval."""
LEAST_AXIS: Final = 0.02
"""Shortest axis, as a share. A good model's whole curve may lie in a corner, but no sample of frames resolves less
than 2 %."""


@dataclass(frozen=True, slots=True)
class Point:
    """A position on a chart: percent from the left and from the top."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One stepped line and the chosen point on it."""

    kind: int
    """Defect kind 1..K, 0 for all kinds together."""
    name: str
    path: str
    """SVG path in a box of 100 × 100."""
    points: tuple[Point, ...]
    chosen: Point
    defective_frames: int


@dataclass(frozen=True, slots=True)
class OperatingChart:
    """Missed defects (escape) over false rejects (overkill)."""

    common: Curve
    by_class: tuple[Curve, ...]
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]
    class_ticks_x: tuple[Tick, ...]
    """Axis of the classes' charts, which share one scale."""
    class_ticks_y: tuple[Tick, ...]
    box: tuple[float, float, float, float] | None
    """x, y, width, height of the 95 % intervals at the chosen point; None if an interval is missing."""


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """Share of defect pixels by score, and the number of pixels at each score."""

    points: tuple[Point, ...]
    bars: tuple[tuple[float, float, float, str], ...]
    """x, width, height, title; the height is on a logarithmic scale of pixels."""


def operating_chart(figures: Mapping[str, Any]) -> OperatingChart:
    """The curves of `operating_curve`, on axes that show the useful settings."""
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
    """Ends of the axes: the chosen points and their surroundings, without settings far from use."""
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
    """A staircase, cut off at the ends of the axes: it does not interpolate between two settings."""
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
    """The chart of the bins of `reliability_curve`."""
    most = max(math.log10(1 + row["pixels"]) for row in curve)
    points, bars = [], []
    for row in curve:
        title = (
            f"scored {100 * row['from']:.0f} to {100 * row['to']:.0f} %: {100 * row['defect_share']:.1f} % are "
            f"defect, of {thousands(row['pixels'])} pixels"
        )
        points.append(Point(100 * row["mean_score"], 100 - 100 * row["defect_share"], title))
        width = 100 * (row["to"] - row["from"])
        height = 100 * math.log10(1 + row["pixels"]) / most
        bars.append((100 * row["from"], width, height, title))
    return ReliabilityChart(tuple(points), tuple(bars))
