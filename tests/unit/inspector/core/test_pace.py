"""A camera's rate against the stated one: lost frames count, delayed frames do not."""

import random

import pytest

from inspector.core.pace import Pace

RATE = 100.0
SECOND_NS = 1_000_000_000


def paced(times_s: list[float], stated: float = RATE) -> Pace:
    pace = Pace(stated)
    for time_s in times_s:
        pace.frame(int(time_s * 1e9))
    return pace


def steady(seconds: float, rate: float = RATE) -> list[float]:
    return [index / rate for index in range(int(seconds * rate))]


@pytest.mark.parametrize("rate", [RATE, RATE * 1.0005, RATE * 0.9990])
def test_a_camera_at_its_rate_is_well(rate: float) -> None:
    """Crystals differ, and 29.97 is stated as 30."""
    pace = paced(steady(60, rate))
    assert (pace.wrong_ns, pace.missing) == (None, 0)
    assert pace.measured_per_s == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("rate", [RATE / 2, 0.96 * RATE, 1.1 * RATE, 3 * RATE])
def test_another_rate_is_found(rate: float) -> None:
    """Half of the stated rate and a higher one are both found, because both make positions wrong."""
    pace = paced(steady(60, rate))
    assert pace.wrong_ns is not None
    assert pace.missing == pytest.approx(max(0.0, (RATE - rate) * 50), rel=0.1)


@pytest.mark.parametrize("lost_s", [0.15, 0.5, 0.9])
def test_a_short_loss_is_found(lost_s: float) -> None:
    """A loss too short for a gap is found, because its frames never arrive."""
    times = [time_s for time_s in steady(30) if not 12 <= time_s < 12 + lost_s]
    pace = paced(times)
    assert pace.missing == pytest.approx(lost_s * RATE, abs=2)
    assert pace.wrong_ns is not None
    assert pace.wrong_ns < 22 * SECOND_NS


@pytest.mark.parametrize("late_s", [0.3, 0.9])
def test_frames_that_come_late_in_a_burst_are_no_loss(late_s: float) -> None:
    """Bursts after a network stall do not count as losses."""
    times = steady(60)
    for start_s in (3.0, 4.95, 21.7, 40.0):
        times = [max(each, start_s + late_s) if start_s <= each < start_s + late_s else each for each in times]
    assert paced(times).wrong_ns is None


def test_jitter_is_no_loss() -> None:
    """Each frame up to 40 ms late, in order."""
    rng = random.Random(1)  # noqa: S311
    times: list[float] = []
    for time_s in steady(60):
        times.append(max([time_s + rng.random() * 0.04, *times[-1:]]))
    assert paced(times).wrong_ns is None


def test_another_ingest_begins_a_new_count() -> None:
    """The time between two ingests does not count as lost frames."""
    pace = paced(steady(30))
    pace.restart()
    for time_s in steady(30):
        pace.frame(int((100 + time_s) * 1e9))
    assert pace.wrong_ns is None
