"""Matches a network's answer with the labels, at the resolution of the answer.

A network with a strided stem answers once per cell of s×s pixels. Enlarging its logits to full size for the
comparison took a third of a step of the fast preset. Instead, the labels are reduced to cells, as the share of
each cell's area that each class covers, which keeps the labels' outlines.
"""

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional


class Match(ABC):
    """Input of the losses; `log_p` is the log-softmax, float [N, C, h, w]."""

    def __init__(self, log_p: Tensor, class_weights: Tensor | None) -> None:
        self.log_p = log_p
        self.class_weights = class_weights
        """Float [C], or None for all 1; used by cross-entropy and focal loss."""

    @property
    def classes(self) -> int:
        """C, the normal class included."""
        return self.log_p.shape[1]

    @cached_property
    def nll(self) -> Tensor:
        """−log p of the true class, float [N, h, w]."""
        return -self.expect(self.log_p)

    @abstractmethod
    def expect(self, values: Tensor) -> Tensor:
        """Mean over each cell's area of its true class's value, [N, C, h, w] → [N, h, w]."""

    @abstractmethod
    def overlap(self) -> Tensor:
        """Probability of each class where it is true, summed over the cells, [C]."""

    @abstractmethod
    def areas(self) -> Tensor:
        """Area of each class, in cells, [C]."""

    @abstractmethod
    def majority(self) -> Tensor:
        """The class that covers most of each cell, int64 [N, h, w]."""


class PixelMatch(Match):
    """One class per cell: `labels` int64 [N, h, w].

    It reads only the probability of each pixel's class: on full-size logits that takes half the time of a one-hot
    product.
    """

    def __init__(self, log_p: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> None:
        super().__init__(log_p, class_weights)
        self._labels = labels

    def expect(self, values: Tensor) -> Tensor:
        """See Match."""
        return values.gather(1, self._labels.unsqueeze(1)).squeeze(1)

    def overlap(self) -> Tensor:
        """See Match."""
        own = self.nll.neg().exp().flatten()
        return own.new_zeros(self.classes).index_add(0, self._labels.flatten(), own)

    def areas(self) -> Tensor:
        """See Match."""
        return torch.bincount(self._labels.flatten(), minlength=self.classes)

    def majority(self) -> Tensor:
        """See Match."""
        return self._labels


class CellMatch(Match):
    """Several classes per cell: `shares` float [N, C, h, w], which add up to 1 in each cell."""

    def __init__(self, log_p: Tensor, shares: Tensor, class_weights: Tensor | None = None) -> None:
        super().__init__(log_p, class_weights)
        self._shares = shares

    def expect(self, values: Tensor) -> Tensor:
        """See Match."""
        return (self._shares * values).sum(dim=1)

    def overlap(self) -> Tensor:
        """See Match."""
        return (self._shares * self.log_p.exp()).sum(dim=(0, 2, 3))

    def areas(self) -> Tensor:
        """See Match."""
        return self._shares.sum(dim=(0, 2, 3))

    def majority(self) -> Tensor:
        """See Match."""
        return self._shares.max(dim=1).indices  # on a CPU much faster than argmax


def match(logits: Tensor, labels: Tensor, stride: int, class_weights: Tensor | None = None) -> Match:
    """Match logits float [N, C, ⌈H/s⌉, ⌈W/s⌉] with labels uint8 [N, H, W]; s is the stride."""
    log_p = logits.log_softmax(dim=1)
    if stride == 1:
        return PixelMatch(log_p, labels.long(), class_weights)
    return CellMatch(log_p, cell_shares(labels, logits.shape[1], stride), class_weights)


def cell_shares(labels: Tensor, classes: int, stride: int) -> Tensor:
    """Share of each cell's area that each class covers, float [N, C, ⌈H/s⌉, ⌈W/s⌉].

    `labels` is uint8 [N, H, W]. A cell cut off by the frame's edge counts only its part inside the frame.
    """
    kinds = torch.arange(1, classes, dtype=labels.dtype, device=labels.device).view(1, -1, 1, 1)
    present = (labels.unsqueeze(1) == kinds).float()
    defects = functional.avg_pool2d(present, stride, ceil_mode=True)
    return torch.cat((1.0 - defects.sum(dim=1, keepdim=True), defects), dim=1)
