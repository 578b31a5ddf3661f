"""Training losses: one table, one file per loss, combined by name ("ce+dice")."""

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
"""Maps the match of a network's answer and the labels to a scalar."""

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
