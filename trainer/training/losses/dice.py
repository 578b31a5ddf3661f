"""Soft Dice: measures overlap, so a class of few pixels counts as much as one of many."""

from typing import Final

from torch import Tensor

from trainer.training.losses.match import Match
from trainer.training.losses.over_processes import summed

_SMOOTH: Final = 1.0
"""Cells added to numerator and denominator, which avoids 0/0 for a class that is not in the batch."""


def soft_dice(match: Match) -> Tensor:
    """1 − the mean over classes of soft Dice, pixels pooled over the batch (Milletari et al. 2016).

    The batch is that of all processes together: sums are shared before the division.
    """
    overlap = summed(match.overlap())
    claimed = summed(match.log_p.exp().sum(dim=(0, 2, 3)))
    truth = summed(match.areas().to(claimed.dtype))
    return 1.0 - ((2.0 * overlap + _SMOOTH) / (claimed + truth + _SMOOTH)).mean()
