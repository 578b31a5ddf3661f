"""Finds whether a figure of a line has left the range that it had in the commissioning window.

Figures of steel are correlated in time: frames of one coil look alike. So the range comes from means of blocks,
its width counts only as many blocks as are independent, and an alarm needs several blocks in a row.
"""

import math
from collections import deque
from itertools import pairwise
from typing import Final

import msgspec

DEVIATIONS: Final = 6.0
"""A short block may lie this many standard deviations from the mean. Of 3.5 million normally distributed blocks
(100 days at 20 frames/s), one lies outside in a hundred such times."""

LONG_BLOCK_DEVIATIONS: Final = 4.0
"""The same for long blocks, which are few and hardly depend on each other: three in a row would be chance once in
10¹³ times."""

CONFIRMING: Final = 3
"""Blocks in a row, on the same side, that make an alarm, and that end it."""

LEAST_INDEPENDENT: Final = 12.0
"""Independent blocks that a range needs; until then the window grows, up to LONGEST times its length."""

LONGEST: Final = 4

_LOW_QUANTILE: Final = -2.326347874040841
"""1 % quantile of the normal distribution: a deviation that is larger with 99 % certainty."""


class Range(msgspec.Struct, frozen=True):
    """Mean and spread of a figure in the commissioning window; logarithms, so that deviations are ratios."""

    mean: float
    deviation: float
    """Upper 99 % limit of the standard deviation of a block."""
    blocks: int
    independent: float
    """Number of independent blocks that would say as much."""


def learn(blocks: list[float]) -> Range:
    """The range of a window of two blocks or more."""
    count = len(blocks)
    mean = sum(blocks) / count
    steps = [value - mean for value in blocks]
    total = sum(step * step for step in steps)
    if total == 0.0:
        return Range(mean, 0.0, count, float(count))
    near = sum(one * other for one, other in pairwise(steps)) / total
    near = min(0.999, max(0.0, near))
    independent = max(2.0, count * (1.0 - near) / (1.0 + near))
    # A mean of few independent blocks follows them: the spread around it is too small.
    variance = total / count / (1.0 - 1.0 / independent)
    freedom = max(1.0, independent - 1.0)
    return Range(mean, math.sqrt(variance * freedom / _low_chi_square(freedom)), count, independent)


def _low_chi_square(freedom: float) -> float:
    """1 % quantile of χ². Source: E. B. Wilson and M. M. Hilferty, PNAS 17 (1931) 684; exact to 10 % from 3 on."""
    freedom = max(3.0, freedom)
    step = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - step + _LOW_QUANTILE * math.sqrt(step)) ** 3


class Drift:
    """Learns one figure's range from its first blocks, and then compares each block with it."""

    def __init__(
        self, window: int, least_change: float, known: Range | None = None, deviations: float = DEVIATIONS
    ) -> None:
        """`window` is a number of blocks, `deviations` how far one may lie from the mean.

        `least_change` is the smallest change, as a logarithm, that is worth an alarm. `known` is the range of an
        earlier window.
        """
        self._window, self._least = max(2, window), least_change
        self._deviations = deviations
        self._learning: list[float] = []
        self._newest: deque[float] = deque(maxlen=CONFIRMING)
        self.range = known
        """None while it learns."""
        self.alarming = False

    def add(self, value: float) -> bool:
        """Add a block's mean, as a logarithm; returns whether the range was learned with it."""
        known = self.range
        if known is None:
            self._learning.append(value)
            return self._learn()
        self._newest.append(value - known.mean)
        limit = self.limit
        if len(self._newest) == CONFIRMING and limit is not None:
            if min(self._newest) > limit or max(self._newest) < -limit:
                self.alarming = True
            elif max(self._newest) <= limit and min(self._newest) >= -limit:
                self.alarming = False
        return False

    def _learn(self) -> bool:
        count = len(self._learning)
        if count < self._window or (count != self._window and count % self._window):
            return False
        found = learn(self._learning)
        if found.independent < LEAST_INDEPENDENT and count < LONGEST * self._window:
            return False
        self.range = found
        self._learning.clear()
        return True

    @property
    def progress(self) -> float:
        """Share of the commissioning window that is over, 0..1."""
        return 1.0 if self.range is not None else min(1.0, len(self._learning) / self._window)

    @property
    def limit(self) -> float | None:
        """Largest deviation without an alarm, a logarithm; None while it learns."""
        known = self.range
        if known is None:
            return None
        return max(self._least, self._deviations * known.deviation * math.sqrt(1.0 + 1.0 / known.independent))

    @property
    def deviation(self) -> float | None:
        """Mean deviation of the newest blocks, a logarithm; None before the first."""
        return sum(self._newest) / len(self._newest) if self._newest else None


class Block:
    """Gathers values of frames into means of blocks."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._values: list[tuple[float, ...]] = []
        self.number = 0
        """Blocks so far."""
        self.means: tuple[float, ...] = ()
        """Of the newest block."""

    def add(self, *values: float) -> None:
        """Add a frame's values, always as many of them; cheap enough for every frame."""
        self._values.append(values)
        if len(self._values) == self._frames:
            self.means = tuple(sum(each) / self._frames for each in zip(*self._values, strict=True))
            self.number += 1
            self._values.clear()
