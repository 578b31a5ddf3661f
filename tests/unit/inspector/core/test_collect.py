"""Which frames of a running line are kept for review."""

from collections import Counter
from typing import Any

import numpy as np

from inspector.core.collect import RANDOM, REJECT, SPREAD_S, UNCERTAIN, Collector
from inspector.values import Decision, Defect, Pixels
from tests.support.recorded import verdict

THRESHOLDS = np.array([255, 128, 128], np.uint8)


def collector(**more: int) -> Collector:
    quotas = {"rejects": 0, "uncertain": 0, "random_accepts": 0, "random_rejects": 0} | more
    return Collector(THRESHOLDS, seed=1, **quotas)


def steel(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(60, 180, (64, 128), dtype=np.uint8)


def defect(score: float = 0.9, x: int = 20) -> Defect:
    return Defect("a", 1, "scratches", (x, 10, 40, 30), 400, 100.0, 20.0, 10.0, score)


def chosen(
    of: Collector, seed: int, now_s: float, *defects: Defect, score: Pixels | None = None, **more: Any
) -> Any:
    found = of.choose(verdict(seed, *defects, **more), steel(seed), score, now_s, int(now_s // 86_400))
    return found and found.policy


def test_a_reject_is_kept_and_its_look_alikes_are_not() -> None:
    """A roll that marks every turn would fill the queue; another kind or another look is a new case."""
    of = collector(rejects=1000)
    assert chosen(of, 1, 0.0, defect()) == REJECT
    again = steel(1)
    again = np.clip(again.astype(int) + np.random.default_rng(9).integers(-4, 5, again.shape), 0, 255).astype(
        np.uint8
    )
    assert of.choose(verdict(2, defect()), again, None, 1.0, 0) is None
    assert of.alike == 1
    other_kind = Defect("b", 2, "pits", (20, 10, 40, 30), 400, 100.0, 20.0, 10.0, 0.9)
    assert of.choose(verdict(3, other_kind), again, None, 2.0, 0) is not None
    assert chosen(of, 4, 3.0, defect()) == REJECT


def test_frames_near_the_threshold_are_uncertain() -> None:
    """Defects that score low, defects that reject nothing, and scores that nearly reach the threshold."""
    of = collector(uncertain=1000, rejects=1000)
    assert chosen(of, 1, 0.0, defect(0.6)) == UNCERTAIN
    assert chosen(of, 2, 0.0, defect(0.95), decision=Decision.ACCEPT, reasons=()) == UNCERTAIN
    assert chosen(of, 3, 0.0, defect(0.95)) == REJECT
    nearly = np.zeros((16, 32), np.uint8)
    nearly[3:5, 3:5] = 100
    assert chosen(of, 4, 0.0, score=nearly) == UNCERTAIN
    nearly[3, 3] = 50
    assert chosen(of, 5, 0.0, score=nearly) is None
    assert chosen(of, 6, 0.0) is None
    assert chosen(of, 7, 0.0, decision=Decision.UNINSPECTED, reasons=("shed",)) is None


def test_quotas_are_of_a_day_and_spread_over_a_shift() -> None:
    """A bad coil in the morning does not use up the afternoon's share, and the next day has a new quota."""
    of = collector(rejects=40)
    at_once = [n for n in range(2000) if chosen(of, n, n * 0.1, defect())]
    assert len(at_once) == 2
    kept = [n for n in range(2000, 6000) if chosen(of, n, n * SPREAD_S / 4000, defect())]
    assert len(kept) == 40 - 2
    assert chosen(of, 7000, 86_400.0 - 1, defect()) is None
    assert chosen(of, 7001, 86_400.0 + 1, defect()) == REJECT


def test_random_frames_are_drawn_by_lot_with_the_chance_that_is_stated() -> None:
    """Sums of 1/chance estimate how many there were, whatever they show and however the line's rate changes.

    Rejects always come with a picture, accepts at a fixed pace: of a faster line fewer of them are seen.
    """
    seen, drawn, estimated = Counter[Decision](), Counter[Decision](), Counter[Decision]()
    of = collector(random_accepts=400, random_rejects=400, rejects=5, uncertain=5)
    now_s, due_s = 0.0, 0.0
    for n in range(60_000):
        now_s += 0.5 if n < 30_000 else 0.1
        rejected = n % 10 == 0 or 20_000 < n < 24_000
        of_frame = verdict(n, *([defect()] if rejected else []))
        seen[of_frame.decision] += 1
        if not rejected and now_s < due_s:
            of.pass_by(of_frame, now_s)
            continue
        due_s = due_s if rejected else now_s + 0.6
        found = of.choose(of_frame, steel(0), None, now_s, 0)
        if found is not None and found.policy == RANDOM:
            assert found.chance is not None
            drawn[of_frame.decision] += 1
            estimated[of_frame.decision] += round(1 / found.chance)
    for decision in (Decision.ACCEPT, Decision.REJECT):
        assert 150 < drawn[decision] < 900
        assert abs(estimated[decision] / seen[decision] - 1) < 0.2
