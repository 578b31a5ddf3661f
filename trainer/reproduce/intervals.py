"""Uncertainty of a mean over a few seeds."""

import math
from collections.abc import Sequence
from typing import Final

T_95: Final = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Two-sided 95 % points of Student's t for 1, 2, … degrees of freedom."""

MAX_SEEDS: Final = len(T_95) + 1


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
    half = T_95[len(values) - 2] * spread / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half
