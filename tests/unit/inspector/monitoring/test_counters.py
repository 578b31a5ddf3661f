"""What is counted for every verdict."""

import pytest

from inspector.core.rules import BoundRecipe, score_thresholds
from inspector.core.verdicts import Outcome
from inspector.monitoring.counters import WORKERS_KNOWN, Histogram, Meters
from inspector.values import Code, Decision, Defect, Verdict, Working

NAMES = ("normal", "pits", "scratches")


@pytest.fixture
def meters() -> Meters:
    steps = score_thresholds(NAMES, {"pits": 0.5, "scratches": 0.5})
    return Meters(BoundRecipe("r@1", NAMES, (False, True, True), (0.0,) * 3, steps, 1.0, 1.0))


def outcome(decision: Decision, reasons: tuple[str, ...] = (), kinds: tuple[int, ...] = ()) -> Outcome:
    defects = tuple(Defect("d", kind, NAMES[kind], (0, 0, 1, 1), 10 * kind, 1.0, 0.0, 0.0, 0.5) for kind in kinds)
    stage_ms = {"transfer": 0.4, "batch": 3.0, "engine": 9.0, "decide": 0.2, "total": 12.6}
    codes = ("defect",) * len(reasons)
    if decision is Decision.UNINSPECTED:
        stage_ms, codes = {}, (Code.SHED,)
    verdict = Verdict("top", 0, 0, 0.0, None, decision, reasons, defects, "r@1", "e@1", stage_ms, codes=codes)
    return Outcome(verdict, total_ms=501.0)


def test_frames_are_counted_by_camera_decision_and_reason(meters: Meters) -> None:
    """A reject counts by the kind that caused it, an uninspected frame by its code."""
    meters.verdict(outcome(Decision.ACCEPT))
    meters.verdict(outcome(Decision.REJECT, ("x",), kinds=(1, 2)))
    meters.verdict(outcome(Decision.UNINSPECTED, ("shed: the worker is behind",)))
    assert dict(meters.frames) == {
        ("top", Decision.ACCEPT, ""): 1,
        ("top", Decision.REJECT, "scratches"): 1,
        ("top", Decision.UNINSPECTED, "shed"): 1,
    }
    assert meters.verdicts["top"] == 3


def test_latencies_fall_into_classes(meters: Meters) -> None:
    """An uninspected frame has a total time but no stage times."""
    meters.verdict(outcome(Decision.ACCEPT))
    meters.verdict(outcome(Decision.UNINSPECTED, ("shed: x",)))
    assert sum(meters.stages["engine"].counts) == 1
    assert sum(meters.stages["total"].counts) == 2
    assert meters.stages["total"].total == pytest.approx(12.6 + 501.0)


def test_a_value_at_the_end_of_a_class_lies_in_it() -> None:
    """Upper ends are inclusive, as in Prometheus; larger values are in the open class."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.1, 1e9):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]


def test_a_worker_counts_once_and_its_batches_each(meters: Meters) -> None:
    """Two workers at a time, as in a swap; a message without a batch counts no batch."""
    for _ in range(3):
        meters.worker("e@1", Working(7, 5, (3, 1)))
        meters.worker("e@2", Working(8, 0))
    assert (sum(meters.batches.counts), meters.batches.total) == (6, 12)
    assert (meters.worker_starts, meters.worker_waiting, meters.engine) == (2, 0, "e@2")


def test_workers_that_restart_for_ever_take_no_memory_for_ever(meters: Meters) -> None:
    """A storm of starts is counted, and is still a fixed size."""
    for start in range(10 * WORKERS_KNOWN):
        meters.worker("e@1", Working(start, 0))
    assert len(meters._workers) == WORKERS_KNOWN
    assert meters.worker_starts == 10 * WORKERS_KNOWN
