"""Focal loss: cross-entropy with less weight on pixels that are already right."""

from typing import Final

from torch import Tensor

from trainer.training.losses.match import Match

GAMMA: Final = 2.0
"""Exponent of the weight (1 − p): the value of Lin et al. 2017, "Focal loss for dense object detection"."""


def focal(match: Match) -> Tensor:
    """Mean over the pixels of −(1 − p)^γ · log p of the true class, times its weight."""
    lost = -((1.0 - match.log_p.exp()) ** GAMMA) * match.log_p
    if match.class_weights is not None:
        lost = lost * match.class_weights.view(1, -1, 1, 1)
    return match.expect(lost).mean()
