"""Sums over the batch of all training processes, with their gradient."""

from typing import Any, cast

import torch
from torch import Tensor, distributed


class _AllReduce(torch.autograd.Function):
    """Sum over the processes; the backward pass sums the gradients as well.

    DDP averages the gradients of the processes, each of which computed the same loss: with the sum here and the
    mean there, every process's cells get the gradient that they would have in a single process.
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
    """Sum of `mine` over all processes; `mine` itself with a single process."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return mine
    return cast("Tensor", _AllReduce.apply(mine))  # type: ignore[no-untyped-call]
