"""Matches the classes of a network and of a data set by name, never silently by number."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from inspector.errors import InputError
from inspector.values import Pixels
from trainer.data.dataset import default_classes
from trainer.data.frames import LoadedFrames

DEFECT_CLASS: Final = "defect"
"""Name of the class that stands for all kinds of defect."""


def knows_one_kind(classes: Sequence[str]) -> bool:
    """Whether `classes`, normal first, are those of a network that only separates defect from normal."""
    return tuple(classes[1:]) == (DEFECT_CLASS,)


def match_classes(
    ours: Sequence[str], theirs: Sequence[str], what: str, where: str
) -> tuple[list[int], str | None]:
    """(class number in `ours` of each class of `theirs`, a note for people); both normal first.

    Names are compared without regard to case, unless one side has two that differ only in it. Numbers count only
    if one side has just default names (class_1 …). A network of one kind takes every defect as that kind. Raises
    InputError for a class that `ours` lacks; `what` has the classes `ours`, `where` the classes `theirs`.
    """
    if knows_one_kind(ours) and len(theirs) > len(ours):
        note = f"{', '.join(theirs[1:])} all count as {ours[1]}: that is what {what} separates from normal"
        return [0, *[1] * (len(theirs) - 1)], note
    plain = str if _has_case_twins(ours) or _has_case_twins(theirs) else str.casefold
    numbers = {plain(name): number for number, name in enumerate(ours[1:], start=1)}
    unknown = [name for name in theirs[1:] if plain(name) not in numbers]
    if not unknown:
        matched = [0, *(numbers[plain(name)] for name in theirs[1:])]
        if matched == list(range(len(ours))):
            return matched, None
        return matched, f"classes are matched by name: {where} has {_listed(theirs)}, {what} has {_listed(ours)}"
    is_unnamed = default_classes(len(ours) - 1)[1:] == tuple(ours[1:])
    is_unnamed = is_unnamed or default_classes(len(theirs) - 1)[1:] == tuple(theirs[1:])
    if is_unnamed and len(ours) == len(theirs):
        note = f"class names differ ({_listed(ours)}; {_listed(theirs)} in the data) and one side has no names of "
        return list(range(len(ours))), note + "its own: matched by number"
    raise InputError(
        f"{what} knows {len(ours)} classes ({_listed(ours)}) but {where} has {len(theirs)} ({_listed(theirs)}): "
        f"it does not know {', '.join(unknown)}; rename the classes of the data, or train with these classes"
    )


def _has_case_twins(names: Sequence[str]) -> bool:
    return len({name.casefold() for name in names}) < len(names)


def in_classes(ours: Sequence[str], theirs: Sequence[str], data: LoadedFrames) -> LoadedFrames:
    """Frames labelled in `theirs`, relabelled in `ours`, see `match_classes`. Digests do not change."""
    numbers, _ = match_classes(ours, theirs, "the network", "the data")
    if numbers == list(range(len(ours))):
        return data
    present = np.zeros((len(data), len(ours)), np.bool_)
    for theirs_number, number in enumerate(numbers):
        present[:, number] |= data.present[:, theirs_number]
    return replace(data, labels=_relabelled(data.labels, numbers), present=present)


def _relabelled(labels: Pixels, numbers: Sequence[int]) -> Pixels:
    table = np.zeros(256, np.uint8)
    table[: len(numbers)] = numbers
    return np.asarray(table[labels], np.uint8)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
