"""Rank and number of training processes, from torchrun's environment."""

import os
from dataclasses import dataclass


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
