"""How many processes train together, as `torchrun` tells each of them."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place among them; one process of its own without torchrun."""

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files and speaks."""
        return self.rank == 0


def processes_here() -> Processes:
    """From torchrun's environment: RANK, WORLD_SIZE, LOCAL_WORLD_SIZE."""
    rank, count, here = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if rank is None or count is None or here is None:
        return Processes()
    return Processes(int(rank), int(count), int(here))
