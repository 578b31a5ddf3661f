"""Running totals of a line: decisions, reasons, defects, latency. Their size does not grow with the run."""

import math
from collections import Counter
from typing import Any, Final

from inspector.values import Decision, Verdict

_STEP: Final = 1.01
"""Ratio of neighbouring latency classes: a percentile is exact to one percent."""
_LOG_STEP: Final = math.log(_STEP)

_MAX_REASONS: Final = 100
"""Different reasons counted separately; further ones count as "other"."""


class LatencyTally:
    """Capture-to-verdict times, counted in classes of equal ratio."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self._count = 0
        self.max_ms = 0.0

    def add(self, total_ms: float) -> None:
        """Count a frame."""
        self._classes[math.ceil(math.log(max(total_ms, 1e-3)) / _LOG_STEP)] += 1
        self._count += 1
        self.max_ms = max(self.max_ms, total_ms)

    def percentile_ms(self, percent: float) -> float:
        """The time within which `percent` of the frames got their verdicts, to one percent; 0 without frames."""
        wanted, seen = self._count * percent / 100, 0
        for step in sorted(self._classes):
            seen += self._classes[step]
            if seen >= wanted:
                return min(_STEP**step, self.max_ms)
        return 0.0


class Tally:
    """The totals for summary.json."""

    def __init__(self) -> None:
        self.decisions: Counter[Decision] = Counter()
        self.defects: Counter[str] = Counter()
        self.uninspected_reasons: Counter[str] = Counter()
        self.uninspected_codes: Counter[str] = Counter()
        self.latency = LatencyTally()
        self.engines: Counter[str] = Counter()
        self._ids_before: dict[str, frozenset[str]] = {}
        self._before_first = 0
        """Verdicts without a time that were added before the first one with a time: those of an earlier decide."""
        self._first_ns: int | None = None
        self._last_ns = 0

    @property
    def captured(self) -> int:
        """Frames that have a verdict."""
        return sum(self.decisions.values())

    def add(self, verdict: Verdict, total_ms: float | None, now_ns: int) -> None:
        """Count a verdict given at `now_ns` (monotonic)."""
        self.decisions[verdict.decision] += 1
        if verdict.decision is Decision.UNINSPECTED:
            self._count_reason(verdict)
        else:
            self.engines[verdict.engine] += 1
        self._count_defects(verdict)
        if total_ms is None and self._first_ns is None:
            self._before_first += 1
        if total_ms is not None:
            self.latency.add(total_ms)
            if self._first_ns is None:
                self._first_ns = now_ns - int(total_ms * 1e6)
        self._last_ns = now_ns

    def _count_defects(self, verdict: Verdict) -> None:
        """Count a defect once when it spans several consecutive frames."""
        before = self._ids_before.get(verdict.camera, frozenset())
        if not verdict.defects and not before:
            return
        names = {defect.id: defect.name for defect in verdict.defects}
        self.defects.update(name for defect_id, name in names.items() if defect_id not in before)
        self._ids_before[verdict.camera] = frozenset(names)

    def _count_reason(self, verdict: Verdict) -> None:
        self.uninspected_codes.update(verdict.codes)
        # Drop the file name from the reason: otherwise each file would have a reason to itself.
        reason = verdict.reasons[0].removeprefix(f"{verdict.file}: ")
        full = len(self.uninspected_reasons) >= _MAX_REASONS and reason not in self.uninspected_reasons
        self.uninspected_reasons["other" if full else reason] += 1

    def frames_per_second(self) -> float:
        """Mean rate from the first capture to the last verdict, without verdicts of an earlier decide."""
        if self._first_ns is None or self._last_ns <= self._first_ns:
            return 0.0
        return (self.captured - self._before_first) / ((self._last_ns - self._first_ns) / 1e9)

    def figures(self) -> dict[str, Any]:
        """The counted part of summary.json."""
        return {
            "captured": self.captured,
            "accepted": self.decisions[Decision.ACCEPT],
            "rejected": self.decisions[Decision.REJECT],
            "uninspected": self.decisions[Decision.UNINSPECTED],
            "frames_per_second": round(self.frames_per_second(), 2),
            "latency_ms": {
                "p50": round(self.latency.percentile_ms(50), 3),
                "p99": round(self.latency.percentile_ms(99), 3),
                "max": round(self.latency.max_ms, 3),
            },
            "defects": dict(self.defects),
            "uninspected_reasons": dict(self.uninspected_reasons.most_common()),
            "uninspected_codes": dict(self.uninspected_codes.most_common()),
        }
