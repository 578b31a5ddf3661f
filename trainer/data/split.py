"""Splits frames into training, validation and test parts, by seed; look-alikes stay in one part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.dataset import Dataset
from trainer.data.look_alikes import find_pairs, join
from trainer.data.scan import scan
from trainer.data.split_file import PARTS, Split, read_split, write_split
from trainer.data.whole_set import check_whole_set

__all__ = ["PARTS", "Dealt", "Split", "make_split", "read_split", "split_dataset", "write_split"]

_TRAIN, _VAL, _TEST = range(3)
"""Indices of PARTS."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """A split and the data it was made from."""

    split: Split
    names: list[str]
    present: NDArray[np.bool_]
    """bool [N, classes]."""
    groups: NDArray[np.intp]
    """int [N]: frames that look alike share a number."""


def split_dataset(
    dataset: Dataset, val_share: float, test_share: float, seed: int, *, show_progress: bool = False
) -> Dealt:
    """Read every frame, group the look-alikes, and split; raises InputError for a fault in the data."""
    _check_shares(val_share, test_share)
    frames = scan(dataset, show_progress=show_progress)
    names = [frame.name for frame in frames]
    present = np.stack([frame.areas_px > 0 for frame in frames if frame.areas_px is not None])
    check_whole_set(dataset.root, present)
    pairs = find_pairs([frame.look for frame in frames])
    groups = join(len(frames), ((pair.first, pair.second) for pair in pairs))
    split = make_split(names, present, val_share, seed, test_share=test_share, groups=groups)
    return Dealt(split, names, present, groups)


def make_split(
    names: Sequence[str],
    present: NDArray[np.bool_],
    val_share: float,
    seed: int,
    *,
    test_share: float = 0.0,
    groups: NDArray[np.intp] | None = None,
) -> Split:
    """A seeded split, stratified by each group's rarest class; frames of one group stay together.

    `present` is bool [N, classes]. `groups`, int [N], gives look-alikes the same number; None makes every frame a
    group. Every stratum gives a group to training, with two or more groups also to validation, with three also to
    test. Raises InputError for impossible shares, and if a part with a share above 0 would get no frame.
    """
    _check_shares(val_share, test_share)
    if len(names) < 2:
        raise InputError("one frame cannot be split into a training and a validation part")
    if groups is None:
        groups = np.arange(len(names))
    shares = np.array([1.0 - val_share - test_share, val_share, test_share])
    part_of = _deal(present, groups, shares, seed)
    split = {
        part: [name for name, owner in zip(names, part_of, strict=True) if owner == place]
        for place, part in enumerate(PARTS)
    }
    for part, share in zip(PARTS, shares.tolist(), strict=True):
        if share > 0 and not split[part]:
            raise InputError(
                f"{len(names)} frames in {len(set(groups.tolist()))} groups of look-alikes leave none for {part}: "
                "label more frames, or ask for fewer parts"
            )
    return split


def _deal(
    present: NDArray[np.bool_], groups: NDArray[np.intp], shares: NDArray[np.float64], seed: int
) -> NDArray[np.intp]:
    """Part of every frame, int [N], an index into PARTS; arguments as in `make_split`, `shares` by part."""
    random = np.random.default_rng(seed)
    sizes = np.bincount(groups)
    shown = np.zeros((len(sizes), present.shape[1]), np.bool_)
    np.logical_or.at(shown, groups, present)
    stratum = _rarest(shown)
    part_of = np.zeros(len(sizes), np.intp)
    for kind in range(present.shape[1]):
        members = random.permutation(np.flatnonzero(stratum == kind))
        need = shares * sizes[members].sum()
        # Validation before test: without validation frames a class has no threshold.
        first = [part for part in (_TRAIN, _VAL, _TEST) if shares[part] > 0][: len(members)]
        # Every part gets one of the smallest groups first: they exceed its share the least.
        order = np.argsort(sizes[members], kind="stable")
        seeded = dict(zip(members[order[: len(first)]].tolist(), reversed(first), strict=True))
        rest = [member for member in members.tolist() if member not in seeded]
        for member, part in seeded.items():
            part_of[member] = part
            need[part] -= sizes[member]
        # Then the large groups, so that the small ones even out the remaining differences.
        for member in sorted(rest, key=lambda member: -int(sizes[member])):
            part = int(need.argmax())
            part_of[member] = part
            need[part] -= sizes[member]
    return np.asarray(part_of[groups], np.intp)


def _check_shares(val_share: float, test_share: float) -> None:
    if not 0.0 < val_share < 1.0:
        raise InputError(f"--val must lie between 0 and 1, got {val_share}")
    if not 0.0 <= test_share < 1.0 or val_share + test_share >= 1.0:
        raise InputError(f"--test must be at least 0 and leave training a share beside --val, got {test_share}")


def _rarest(shown: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Stratum of each group: its rarest defect class, as frequent classes spread by themselves; 0 if normal."""
    frequency = shown[:, 1:].sum(axis=0).astype(np.int64)
    rarity = np.where(shown[:, 1:], -frequency, np.iinfo(np.int64).min)
    return np.where(shown[:, 1:].any(axis=1), rarity.argmax(axis=1) + 1, 0)
