"""Lovász-softmax: the convex surrogate of IoU."""

import torch
from torch import Tensor

from trainer.training.losses.match import Match


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
