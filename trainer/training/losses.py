"""Training losses, combined by name ("ce+dice")."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from inspector.errors import InputError
from trainer.training.match import Match
from trainer.training.processes import summed

_SMOOTH: Final = 1.0
"""Cells added to numerator and denominator of Dice, which avoids 0/0 for a class that is not in the batch."""
GAMMA: Final = 2.0
"""Exponent of the weight (1 − p) of focal loss, from Lin et al. 2017, "Focal loss for dense object detection"."""

Loss = Callable[[Match], Tensor]
"""Maps the match of a network's answer and the labels to a scalar."""


def cross_entropy(match: Match) -> Tensor:
    """Mean over the pixels of −log p of the true class, times its weight; gives scores that are probabilities."""
    if match.class_weights is None:
        return match.nll.mean()
    return match.expect(-match.log_p * match.class_weights.view(1, -1, 1, 1)).mean()


def soft_dice(match: Match) -> Tensor:
    """1 − the mean over classes of soft Dice, pixels pooled over the batch (Milletari et al. 2016).

    It measures overlap, so a class of few pixels counts as much as one of many. The batch is that of all processes
    together: sums are shared before the division.
    """
    overlap = summed(match.overlap())
    claimed = summed(match.log_p.exp().sum(dim=(0, 2, 3)))
    truth = summed(match.areas().to(claimed.dtype))
    return 1.0 - ((2.0 * overlap + _SMOOTH) / (claimed + truth + _SMOOTH)).mean()


def focal(match: Match) -> Tensor:
    """Mean over the pixels of −(1 − p)^γ · log p of the true class, times its weight.

    Pixels that are already right weigh less than in cross-entropy.
    """
    lost = -((1.0 - match.log_p.exp()) ** GAMMA) * match.log_p
    if match.class_weights is not None:
        lost = lost * match.class_weights.view(1, -1, 1, 1)
    return match.expect(lost).mean()


def lovasz_softmax(match: Match) -> Tensor:
    """Mean over the classes in the batch of the Lovász extension of 1 − IoU (Berman et al. 2018, algorithm 1).

    It is defined on whole pixels only: a cell counts as the class that covers most of it. It covers the batch of
    this process only, because the sort cannot be split.
    """
    labels = match.majority().flatten()
    probabilities = match.log_p.exp().movedim(1, -1).flatten(0, 2)
    losses = []
    for kind in range(match.classes):
        truth = (labels == kind).to(probabilities.dtype)
        if not bool(truth.any()):
            continue
        errors, order = (truth - probabilities[:, kind]).abs().sort(descending=True)
        losses.append((errors * _jaccard_steps(truth[order])).sum())
    return torch.stack(losses).mean()


def _jaccard_steps(truth: Tensor) -> Tensor:
    """Growth of 1 − IoU with each further error, errors sorted largest first; 0/1 float [P] → [P]."""
    total = truth.sum()
    missed = total - truth.cumsum(0)
    union = total + (1.0 - truth).cumsum(0)
    jaccard = 1.0 - missed / union
    return torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))


LOSSES: Final[dict[str, Loss]] = {
    "ce": cross_entropy,
    "dice": soft_dice,
    "lovasz": lovasz_softmax,
    "focal": focal,
}
"""Name → loss; a + joins the names of a sum."""


def loss_named(name: str) -> Loss:
    """The loss or sum of losses with that name; raises InputError for an unknown one."""
    terms = name.split("+")
    unknown = [term for term in terms if term not in LOSSES]
    if unknown or len(set(terms)) != len(terms):
        raise InputError(f"--loss {name}: there is {', '.join(LOSSES)}, and sums of them such as ce+dice")

    def total(match: Match) -> Tensor:
        first, *others = (LOSSES[term](match) for term in terms)
        return sum(others, start=first)

    return total
