"""Escape and overkill from a reviewed sample: the stated interval covers the truth."""

import numpy as np
import pytest

from inspector.core import acceptance
from inspector.core.acceptance import Reviewed, accept, stratum

LINES = {
    "a good line": (200_000, 6_000, 0.0005, 0.80),
    "a line that rejects too much": (150_000, 50_000, 0.002, 0.15),
    "a line that misses half": (90_000, 3_000, 0.03, 0.95),
    "a coil": (4_000, 300, 0.004, 0.60),
}
"""Frames accepted and rejected, and the defective share of either."""

RUNS = 100
COVERED = 93


@pytest.mark.parametrize("reviewed", [(300, 100), (1200, 300)], ids=["400 reviews", "1500 reviews"])
@pytest.mark.parametrize("line", LINES)
def test_the_interval_covers_the_truth(
    line: str, reviewed: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In at least 93 of 100 runs of each simulated line, for escape and for overkill, with unequal chances."""
    monkeypatch.setattr(acceptance, "DRAWS", 1_000)
    accepts, rejects, missed, found = LINES[line]
    random = np.random.default_rng(7)
    defective = [random.random(accepts) < missed, random.random(rejects) < found]
    escaped, caught = int(defective[0].sum()), int(defective[1].sum())
    escape, overkill = escaped / (escaped + caught), (rejects - caught) / (accepts - escaped + rejects - caught)
    covered = {"escape": 0, "overkill": 0}
    for _ in range(RUNS):
        strata = []
        for truth, wanted in zip(defective, reviewed, strict=True):
            # The line runs at another rate in its second half, so the lot has another chance there.
            chances = np.where(np.arange(len(truth)) < len(truth) // 2, 1.3, 0.7) * wanted / len(truth)
            chosen = np.flatnonzero(random.random(len(truth)) < np.minimum(chances, 1.0))
            sample = [Reviewed(bool(truth[n]), min(1.0, float(chances[n]))) for n in chosen]
            strata.append(stratum(len(truth), len(sample), sample))
        result = accept(*strata)
        covered["escape"] += result.escape.low <= escape <= result.escape.high
        covered["overkill"] += result.overkill.low <= overkill <= result.overkill.high
    assert min(covered.values()) >= COVERED, covered


def test_more_reviews_say_more() -> None:
    """Four times the sample halves the interval, about."""
    widths = []
    for times in (1, 4):
        accepts = [Reviewed(n < 4 * times, 0.01) for n in range(300 * times)]
        rejects = [Reviewed(n < 80 * times, 0.1) for n in range(100 * times)]
        result = accept(stratum(30_000, 300, accepts), stratum(1_000, 100, rejects))
        assert result.escape.share == pytest.approx(400 / 1200)
        assert result.overkill.share == pytest.approx(200 / (29_600 + 200))
        widths.append(result.escape.high - result.escape.low)
    assert 1.6 < widths[0] / widths[1] < 2.6


def test_what_was_not_reviewed_is_not_known() -> None:
    """Without a reviewed accept escape may be anything; a line without rejects has no overkill."""
    rejects = stratum(100, 50, [Reviewed(True, 0.5)] * 50)
    unknown = accept(stratum(10_000, 20, []), rejects)
    assert unknown.escape.share is None
    assert (unknown.escape.low, unknown.escape.high > 0.98) == (0.0, True)
    nothing = accept(stratum(10_000, 300, [Reviewed(False, 0.03)] * 300), stratum(0, 0, []))
    assert nothing.overkill.high == 0.0
    assert nothing.escape.high == 1.0


def test_the_same_sample_gives_the_same_report() -> None:
    """A report can be computed again."""
    strata = [stratum(900, 90, [Reviewed(n < 3, 0.1) for n in range(90)]) for _ in range(2)]
    assert accept(*strata) == accept(*strata)
