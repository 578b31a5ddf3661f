"""Drift against the commissioning window: what alarms, and what 100 days of a steady mill do not."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.core.drift import CONFIRMING, LEAST_INDEPENDENT, LONG_BLOCK_DEVIATIONS, Block, Drift, learn
from inspector.values import PICTURE_FRAMES

FRAMES_PER_SECOND = 10
COIL_BLOCKS = 12
"""Blocks of a coil: 600 frames."""
WINDOW = 50_000 // PICTURE_FRAMES


def steady(seed: int, days: float) -> Iterator[NDArray[np.float64]]:
    """Log brightness of a steady mill's blocks, a day at a time.

    Coils differ, frames of a coil hang together, and a lamp follows the hall's temperature over hours and the day.
    """
    random = np.random.default_rng(seed)
    a_day = 86_400 * FRAMES_PER_SECOND // PICTURE_FRAMES
    slow = fast = 0.0
    for day in range(math.ceil(days)):
        coil = np.repeat(random.normal(0, 0.006, a_day // COIL_BLOCKS + 1), COIL_BLOCKS)[:a_day]
        noise = random.normal(0, 1, (2, a_day))
        correlated = np.empty(a_day)
        for index in range(a_day):
            fast = 0.9 * fast + 0.003 * noise[0, index]
            slow = 0.9995 * slow + 0.0001 * noise[1, index]
            correlated[index] = fast + slow
        daily = 0.004 * np.sin(2 * np.pi * (day + np.arange(a_day) / a_day))
        yield math.log(120) + coil + correlated + daily


def first_alarm(drift: Drift, blocks: NDArray[np.float64]) -> int | None:
    for index, value in enumerate(blocks.tolist()):
        drift.add(value)
        if drift.alarming:
            return index
    return None


@pytest.mark.parametrize("days", [10, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_steady_mill_gives_no_alarm(seed: int, days: int) -> None:
    """Whatever its coils and its temperature do; then a lamp that loses 10 % alarms within 500 frames."""
    drift = Drift(WINDOW, math.log(1.05))
    for blocks in steady(seed, days):
        assert first_alarm(drift, blocks) is None
    assert drift.range is not None
    dimmed = next(steady(seed + 100, 1)) + math.log(0.9)
    index = first_alarm(drift, dimmed)
    assert index is not None
    assert (index + 1) * PICTURE_FRAMES <= 500


@pytest.mark.parametrize(("mean", "times"), [(0.2, 60), (3.0, 10), (40.0, 10)])
def test_rates_of_dirty_coils_give_no_alarm_and_a_jump_does(mean: float, times: int) -> None:
    """Defects come in dirty coils: counts spread far wider than chance. Ten times as many alarm."""
    random = np.random.default_rng(5)
    count, block_coils = 100 * 86_400 * FRAMES_PER_SECOND // 5000, 8
    dirt = random.gamma(1.5, mean / 1.5, (count, block_coils)).sum(axis=1)
    drift = Drift(40, math.log(3), None, LONG_BLOCK_DEVIATIONS)
    assert first_alarm(drift, np.log1p(random.poisson(dirt))) is None
    jump = random.gamma(1.5, times * mean / 1.5, (50, block_coils)).sum(axis=1)
    assert first_alarm(drift, np.log1p(random.poisson(jump))) is not None


def test_a_window_without_independent_blocks_grows() -> None:
    """One coil says nothing about the next: the range waits for more of them, four windows at most."""
    random = np.random.default_rng(1)
    drift = Drift(40, 0.05)
    blocks = np.repeat(random.normal(0, 0.02, 40), 40)
    learned = [index for index, value in enumerate(blocks.tolist(), start=1) if drift.add(value)]
    assert learned == [160]
    assert drift.range is not None
    assert drift.range.independent < LEAST_INDEPENDENT
    assert drift.limit is not None
    assert drift.limit > 6 * 0.02


def test_the_range_is_that_of_independent_blocks() -> None:
    """For uncorrelated blocks it is their deviation, with a margin for what a window cannot tell."""
    found = learn(np.random.default_rng(1).normal(2.0, 0.1, 1000).tolist())
    assert found.mean == pytest.approx(2.0, abs=0.02)
    assert 0.1 < found.deviation < 0.12
    assert found.independent > 700


def test_an_alarm_ends_when_the_figure_is_back() -> None:
    """And one odd block is none."""
    drift = Drift(100, 0.05)
    for value in np.random.default_rng(1).normal(0, 0.005, 100).tolist():
        drift.add(value)
    for value in (0.2, 0.0, 0.2, -0.2, 0.2, 0.2):
        drift.add(value)
        assert not drift.alarming
    drift.add(0.2)
    assert drift.alarming
    for _ in range(CONFIRMING):
        drift.add(0.0)
    assert not drift.alarming


def test_blocks_are_means_of_their_frames() -> None:
    """Of each value; an open block gives nothing."""
    block = Block(4)
    for n in range(9):
        block.add(float(n), 10.0)
    assert (block.number, block.means) == (2, (5.5, 10.0))
