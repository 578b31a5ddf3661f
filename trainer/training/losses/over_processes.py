"""Sums over the batch of all processes that train together, with their gradient."""

from typing import Any, cast

import torch
from torch import Tensor, distributed


class _AllReduce(torch.autograd.Function):
    """Sum over the processes; backwards the gradients are summed as well.

    DDP averages the gradients of the processes, each of which computed the same loss: the sum here and the mean
    there give every process's cells the gradient they would have in one process.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:  # noqa: ARG004 (torch fixes the signature)
        total = mine.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def summed(mine: Tensor) -> Tensor:
    """`mine` of this process plus that of all others; itself where there is one process."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return mine
    return cast("Tensor", _AllReduce.apply(mine))  # type: ignore[no-untyped-call]
