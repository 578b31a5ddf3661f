"""Counters of a running line: plain numbers, cheap to update for every verdict."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from inspector.core.judge import to_blame
from inspector.core.rules import BoundRecipe
from inspector.core.verdicts import Outcome
from inspector.monitoring.state import HistogramState
from inspector.values import LATENCIES, Decision, Working

LATENCY_MS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Upper ends of the latency classes: from the hand-over between two processes to a stuck line."""

BATCH_FRAMES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

OTHER: Final = "other"

WORKERS_KNOWN: Final = 8
"""Most workers told apart at one time, the newest ones: two in a swap, and some that are restarting."""


@dataclass(slots=True)
class Histogram:
    """Counts of values in classes with fixed ends."""

    ends: tuple[float, ...]
    """Inclusive upper ends; one more class has no end."""
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.ends) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.ends, value)] += 1
        self.total += value

    def state(self) -> HistogramState:
        """The counts as of now."""
        return HistogramState(self.ends, tuple(self.counts), round(self.total, 3))


class Meters:
    """Counters since this process started; after a restart they begin at 0, which a reader must expect."""

    def __init__(self, recipe: BoundRecipe) -> None:
        self.rejected = recipe.rejected
        self.frames: Counter[tuple[str, Decision, str]] = Counter()
        """By camera, decision, and defect class or code."""
        self.verdicts: Counter[str] = Counter()
        """By camera."""
        self.stages = {stage: Histogram(LATENCY_MS) for stage in LATENCIES}
        self.batches = Histogram(BATCH_FRAMES)
        self.begins: Counter[str] = Counter()
        """By camera: how often its ingest has started."""
        self.worker_starts = 0
        """Different workers seen in results."""
        self.worker_waiting = 0
        """Frames queued in the worker at its last message."""
        self.engine = ""
        """Engine of the newest result."""
        self.scores: dict[str, tuple[float, int]] = {}
        """By camera: sum and number of the defects' scores since the reader took them."""
        self._workers: dict[int, None] = {}
        """By start time, newest last."""

    def verdict(self, outcome: Outcome) -> None:
        """Count a verdict."""
        verdict = outcome.verdict
        decision = verdict.decision
        reason = ""
        if decision is Decision.REJECT:
            defect = to_blame(verdict, self.rejected)
            reason = OTHER if defect is None else defect.name
        elif decision is Decision.UNINSPECTED:
            reason = verdict.codes[0]
        self.frames[verdict.camera, decision, reason] += 1
        self.verdicts[verdict.camera] += 1
        if verdict.defects:
            total, count = self.scores.get(verdict.camera, (0.0, 0))
            total += sum(defect.score for defect in verdict.defects)
            self.scores[verdict.camera] = (total, count + len(verdict.defects))
        if verdict.stage_ms:
            for stage, time_ms in verdict.stage_ms.items():
                self.stages[stage].add(time_ms)
        elif outcome.total_ms is not None:
            self.stages["total"].add(outcome.total_ms)

    def worker(self, engine: str, working: Working) -> None:
        """Count a results message from a worker."""
        self.engine = engine
        self.worker_waiting = working.waiting
        for frames in working.batches:
            self.batches.add(frames)
        if working.started_ns not in self._workers:
            self.worker_starts += 1
            self._workers[working.started_ns] = None
            if len(self._workers) > WORKERS_KNOWN:
                del self._workers[next(iter(self._workers))]
