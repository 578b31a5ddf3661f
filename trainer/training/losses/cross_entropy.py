"""Cross-entropy: gives scores that are probabilities."""

from torch import Tensor

from trainer.training.losses.match import Match


def cross_entropy(match: Match) -> Tensor:
    """Mean over the pixels of −log p of the true class, times its weight."""
    if match.class_weights is None:
        return match.nll.mean()
    return match.expect(-match.log_p * match.class_weights.view(1, -1, 1, 1)).mean()
