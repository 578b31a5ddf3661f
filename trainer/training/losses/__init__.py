"""What training minimises: one table of losses, each a file of its own, added up by name ("ce+dice")."""

from collections.abc import Callable
from typing import Final

from torch import Tensor

from inspector.errors import InputError
from trainer.training.losses.cross_entropy import cross_entropy
from trainer.training.losses.dice import soft_dice
from trainer.training.losses.focal import focal
from trainer.training.losses.lovasz import lovasz_softmax
from trainer.training.losses.match import Match

Loss = Callable[[Match], Tensor]
"""A scalar from a network's answer held against the labels."""

LOSSES: Final[dict[str, Loss]] = {
    "ce": cross_entropy,
    "dice": soft_dice,
    "lovasz": lovasz_softmax,
    "focal": focal,
}
"""Name → loss; a sum of them is written with +."""


def loss_named(name: str) -> Loss:
    """The loss or the sum of losses of that name; raises InputError for one that is not in the table."""
    terms = name.split("+")
    unknown = [term for term in terms if term not in LOSSES]
    if unknown or len(set(terms)) != len(terms):
        raise InputError(f"--loss {name}: there is {', '.join(LOSSES)}, and sums of them such as ce+dice")

    def total(match: Match) -> Tensor:
        first, *others = (LOSSES[term](match) for term in terms)
        return sum(others, start=first)

    return total
