"""Training processes: rank and number from torchrun's environment, and sums over all of them."""

import os
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place among the training processes; without torchrun, the only process."""

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0


def processes_here() -> Processes:
    """Read torchrun's environment: RANK, WORLD_SIZE, LOCAL_WORLD_SIZE."""
    rank, count, here = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if rank is None or count is None or here is None:
        return Processes()
    return Processes(int(rank), int(count), int(here))


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
    """Sum of `mine` over all processes, with its gradient; `mine` itself with a single process."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return mine
    return cast("Tensor", _AllReduce.apply(mine))  # type: ignore[no-untyped-call]
