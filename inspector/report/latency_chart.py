"""Verdict times: a histogram from capture to verdict, and each stage's usual and worst time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.render.axis_ticks import Tick, ticks
from inspector.render.numbers import frames, milliseconds

TOTAL: Final = "total"
"""Key of `stage_ms` for the time from capture to verdict."""
BINS: Final = 48
SHOWN_SHARE: Final = 0.995
"""Share of the frames on the axis; slower ones share one last bar, so that a straggler does not flatten it."""
TICKS: Final = 6
HIGHEST_PCT: Final = 88
"""Height of the highest bar, per cent; the labels of the lines are above it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram; `over` is the bar of everything slower than the axis."""

    start_pct: float
    width_pct: float
    height_pct: float
    over: bool
    title: str


@dataclass(frozen=True, slots=True)
class StageTimes:
    """One stage's times in milliseconds."""

    name: str
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class LatencyChart:
    """Everything the template draws of the times."""

    bars: tuple[Bar, ...]
    lines: tuple[Tick, ...]
    ticks: tuple[Tick, ...]
    over: str | None
    stages: tuple[StageTimes, ...]
    total: StageTimes | None


def chart_latency(stage_ms: Mapping[str, Sequence[float]], total: StageTimes | None) -> LatencyChart | None:
    """Lay out the times; None without any.

    `total` is the run's own figure; without it, the frames' times are used.
    """
    if not stage_ms and total is None:
        return None
    stages = tuple(_times(name, ms) for name, ms in stage_ms.items() if name != TOTAL and ms)
    totals_ms = stage_ms.get(TOTAL)
    if not totals_ms:
        return LatencyChart((), (), (), None, stages, total)
    ms = np.asarray(totals_ms, np.float64)
    total = total or _times(TOTAL, totals_ms)
    end_ms = max(float(np.quantile(ms, SHOWN_SHARE)), 1e-3)
    slower = int((ms > end_ms).sum())
    counts, edges = np.histogram(ms[ms <= end_ms], bins=BINS, range=(0.0, end_ms))
    # The axis is one bar longer than the histogram, for the slower frames.
    axis_ms = end_ms * (BINS + 1) / BINS
    highest = max(int(counts.max()), slower, 1)
    titles = [
        f"{milliseconds(start)} to {milliseconds(end)}: {frames(n)}"
        for start, end, n in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    ]
    values = counts.tolist()
    if slower:
        titles.append(f"over {milliseconds(end_ms)}: {frames(slower)}")
        values.append(slower)
    step_pct = 100 / (BINS + 1)
    bars = tuple(
        Bar(n * step_pct, 0.88 * step_pct, HIGHEST_PCT * value / highest, n == BINS, title)
        for n, (value, title) in enumerate(zip(values, titles, strict=True))
        if value
    )
    lines = tuple(
        Tick(100 * at_ms / axis_ms, name)
        for name, at_ms in (("median", total.p50), ("99 %", total.p99))
        if at_ms <= axis_ms
    )
    over = f"Last bar: {frames(slower)} over {milliseconds(end_ms)}." if slower else None
    return LatencyChart(bars, lines, ticks(0.0, axis_ms, TICKS), over, stages, total)


def _times(name: str, ms: Sequence[float]) -> StageTimes:
    values = np.asarray(ms, np.float64)
    return StageTimes(name, float(np.median(values)), float(np.quantile(values, 0.99)), float(values.max()))
