"""Estimates how often chance places defects like a roll mark: a chain of defects counts only where that is rare.

A mark's copies lie one turn apart, at one place across, and are alike in size. How far a chain of defects is from
that is one distance, in standard deviations. Unrelated defects lie anywhere, so the number of chains that chance
places as close or closer is their density times the volume within this distance. A chain counts as a mark when
this number is small: the "number of false alarms" of A. Desolneux, L. Moisan and J.-M. Morel, "Meaningful
alignments", 2000.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

ALONG_MM: Final = 2.5
"""Standard deviation of a mark's place along: its mask, and the encoder between two samples."""

ACROSS_MM: Final = 2.0
"""Standard deviation of a mark's place across: its mask, and the strip that wanders."""

LOG_AREA: Final = 0.2
"""Standard deviation of the logarithm of a mark's area: it is pressed with more or less force, and its mask is a
pixel off here and there."""


class Copy(NamedTuple):
    """One defect of a chain."""

    turn: int
    along_mm: float
    across_mm: float
    log_area: float


def spread(values: Sequence[float]) -> float:
    """Sum of squared distances from the mean."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def off_the_line(copies: Sequence[Copy]) -> float:
    """Sum of squared distances along from the best line through (turn, place), mm²."""
    turns, places = [float(copy.turn) for copy in copies], [copy.along_mm for copy in copies]
    mean_turn, mean_place = sum(turns) / len(turns), sum(places) / len(places)
    wide = sum((turn - mean_turn) ** 2 for turn in turns)
    both = sum((turn - mean_turn) * (place - mean_place) for turn, place in zip(turns, places, strict=True))
    return max(spread(places) - both * both / wide, 0.0)


def distance(copies: Sequence[Copy]) -> float:
    """How far a chain is from a mark, in standard deviations."""
    return math.sqrt(
        off_the_line(copies) / ALONG_MM**2
        + spread([copy.across_mm for copy in copies]) / ACROSS_MM**2
        + spread([copy.log_area for copy in copies]) / LOG_AREA**2
    )


def log_false_alarms(copies: Sequence[Copy], per_mm2: float, window_mm: float) -> float:
    """Logarithm of the number of chains, through one defect, that chance places this close to a mark or closer.

    `per_mm2` is the density of unrelated defects by place along, place across and logarithm of the area.
    `window_mm` is the length in which the first copy may lie, because a roll's diameter is not known exactly.
    """
    # Each copy but the first adds three numbers. All but the period that the chain itself gives are tested.
    others = len(copies) - 1
    tested = 3 * others - 1
    ball = tested / 2 * math.log(math.pi) - math.lgamma(tested / 2 + 1)
    turns = [float(copy.turn) for copy in copies]
    # Volume of the distances' space by that of the copies': determinants of their covariances.
    along = (others - 1) * math.log(ALONG_MM) + 0.5 * math.log(len(copies) * spread(turns) / _period_spread(turns))
    across = others * math.log(ACROSS_MM) + 0.5 * math.log(len(copies))
    area = others * math.log(LOG_AREA) + 0.5 * math.log(len(copies))
    volume = ball + tested * math.log(max(distance(copies), 0.5)) + along + across + area
    return others * math.log(per_mm2) + math.log(window_mm) + volume


def _period_spread(turns: Sequence[float]) -> float:
    """Squared number of turns between the first and the last copy, whose distance gives the period's window."""
    return (max(turns) - min(turns)) ** 2
