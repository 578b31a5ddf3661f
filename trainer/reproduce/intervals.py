"""Uncertainty of a mean over a few seeds."""

import math
from collections.abc import Sequence
from typing import Final

from scipy import stats

MAX_SEEDS: Final = 21


def mean(values: Sequence[float]) -> float:
    """Mean of one or more values."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation of the sample; None for a single value."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean of up to MAX_SEEDS values; None for a single value."""
    spread = deviation(values)
    if spread is None:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half
