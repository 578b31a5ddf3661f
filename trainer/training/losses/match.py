"""A network's answer held against the labels, at the resolution the network answers in.

A network with a strided stem answers once per cell of s×s pixels. Enlarging its logits to full size only to
compare them there took a third of a step of the fast preset; here the labels go to the cells instead, as the share
of each cell's area that each class covers, so that nothing about the labels' outlines is lost.
"""

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional


class Match(ABC):
    """What losses are made of; `log_p` is the log-softmax, float [N, C, h, w]."""

    def __init__(self, log_p: Tensor, class_weights: Tensor | None) -> None:
        self.log_p = log_p
        self.class_weights = class_weights
        """float [C] or None for all 1; cross-entropy and focal loss follow it."""

    @property
    def classes(self) -> int:
        """C, the normal class included."""
        return self.log_p.shape[1]

    @cached_property
    def surprise(self) -> Tensor:
        """−log p of what is there, float [N, h, w]."""
        return -self.expect(self.log_p)

    @abstractmethod
    def expect(self, values: Tensor) -> Tensor:
        """Mean over each cell's area of the value its class has, [N, C, h, w] → [N, h, w]."""

    @abstractmethod
    def overlap(self) -> Tensor:
        """Probability given to each class where it is, summed over the cells, [C]."""

    @abstractmethod
    def areas(self) -> Tensor:
        """Area of each class, in cells, [C]."""

    @abstractmethod
    def majority(self) -> Tensor:
        """The class that covers most of each cell, int64 [N, h, w]."""


class PixelMatch(Match):
    """One class a cell: `labels` int64 [N, h, w]. Only each pixel's own probability is touched: on full-size
    logits that takes half the time of a one-hot product."""

    def __init__(self, log_p: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> None:
        super().__init__(log_p, class_weights)
        self._labels = labels

    def expect(self, values: Tensor) -> Tensor:
        """See Match."""
        return values.gather(1, self._labels.unsqueeze(1)).squeeze(1)

    def overlap(self) -> Tensor:
        """See Match."""
        own = self.surprise.neg().exp().flatten()
        return own.new_zeros(self.classes).index_add(0, self._labels.flatten(), own)

    def areas(self) -> Tensor:
        """See Match."""
        return torch.bincount(self._labels.flatten(), minlength=self.classes)

    def majority(self) -> Tensor:
        """See Match."""
        return self._labels


class CellMatch(Match):
    """Several classes a cell: `shares` float [N, C, h, w], each cell's adding up to 1."""

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
        return self._shares.argmax(dim=1)


def match(logits: Tensor, labels: Tensor, stride: int, class_weights: Tensor | None = None) -> Match:
    """Logits float [N, C, ⌈H/s⌉, ⌈W/s⌉] against labels uint8 [N, H, W], s the stride."""
    log_p = logits.log_softmax(dim=1)
    if stride == 1:
        return PixelMatch(log_p, labels.long(), class_weights)
    return CellMatch(log_p, cell_shares(labels, logits.shape[1], stride), class_weights)


def cell_shares(labels: Tensor, classes: int, stride: int) -> Tensor:
    """Share of each cell's area that each class covers, float [N, C, ⌈H/s⌉, ⌈W/s⌉]; cut cells count what is left.

    `labels` uint8 [N, H, W].
    """
    kinds = torch.arange(1, classes, dtype=labels.dtype, device=labels.device).view(1, -1, 1, 1)
    present = (labels.unsqueeze(1) == kinds).float()
    defects = functional.avg_pool2d(present, stride, ceil_mode=True)
    return torch.cat((1.0 - defects.sum(dim=1, keepdim=True), defects), dim=1)
