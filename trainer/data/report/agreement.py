"""Measures how well the masks of duplicates agree: no model can fit labels better than they fit each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.data.dataset import Dataset
from trainer.data.faults import DataError, Fault
from trainer.data.look_alikes import Pair, turned
from trainer.data.scan import Scanned

MAX_PAIRS: Final = 20_000
"""Most pairs compared, evenly spread over all pairs: more would not change the mean."""
SAME_IOU: Final = 0.999
"""IoU from which two masks count as copies of one drawing, which reveal nothing about the annotators."""
MISNAMED_SHARE: Final = 0.5
_KEPT_LABELS: Final = 128
"""Decoded labels kept in memory, because a frame is in several pairs."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Agreement of the masks of one pair of duplicates."""

    pair: Pair
    iou: float
    """Pixels of the same defect class in both masks over pixels that are a defect in either; 1 if both are
    empty."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of the masks of all pairs of duplicates."""

    pairs: int
    differing: int
    """Pairs whose masks are not the same drawing."""
    iou: list[float | None]
    """By class, normal first, pooled over the pixels of all differing pairs; None for a class that they do not
    show."""
    misnamed: int
    """Differing pairs that give most of their shared defect pixels different classes."""
    worst: list[Disagreement]
    """Differing pairs, worst first."""

    @property
    def miou(self) -> float | None:
        """Mean of `iou`: the score of a model that draws like one annotator and is judged by the other."""
        known = [value for value in self.iou if value is not None]
        return sum(known) / len(known) if known else None


def measure_agreement(
    dataset: Dataset, frames: list[Scanned], pairs: Sequence[Pair], *, show_progress: bool = False
) -> Agreement | None:
    """Compare the masks of `pairs`, the second turned onto the first; None without a comparable pair."""
    usable = [pair for pair in pairs if _has_label(frames, pair)]
    usable = usable[:: 1 + len(usable) // MAX_PAIRS]
    if not usable:
        return None

    @lru_cache(maxsize=_KEPT_LABELS)
    def label(index: int) -> Pixels:
        frame = frames[index]
        return dataset.label(frame.name, (frame.height, frame.width), _ignore)

    classes = len(dataset.classes)
    both, either = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    differing = []
    misnamed = 0
    for pair in bar(usable, "comparing masks", total=len(usable), unit="pair", show=show_progress):
        try:
            first, second = label(pair.first), turned(label(pair.second), pair.turn)
        except DataError:
            continue  # the file changed since the scan, which reported every unreadable label
        inside, around = _overlap(first, second, classes)
        union = int(around[1:].sum())
        defect_iou = int(inside[1:].sum()) / union if union else 1.0
        if defect_iou < SAME_IOU:
            differing.append(Disagreement(pair, defect_iou))
            misnamed += _is_misnamed(first, second)
            both += inside
            either += around
    iou = [int(b) / int(e) if e else None for b, e in zip(both, either, strict=True)]
    return Agreement(len(usable), len(differing), iou, misnamed, sorted(differing, key=lambda each: each.iou))


def _overlap(first: Pixels, second: Pixels, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of each class in both masks, and in either."""
    together = np.bincount(first[first == second], minlength=classes)[:classes]
    one = np.bincount(first.ravel(), minlength=classes)[:classes]
    other = np.bincount(second.ravel(), minlength=classes)[:classes]
    return together.astype(np.int64), (one + other - together).astype(np.int64)


def _is_misnamed(first: Pixels, second: Pixels) -> bool:
    shared = (first > 0) & (second > 0)
    return bool(shared.any()) and bool((first != second)[shared].mean() > MISNAMED_SHARE)


def _ignore(fault: Fault) -> None:
    """Drop a fault that the scan has reported."""


def _has_label(frames: list[Scanned], pair: Pair) -> bool:
    return frames[pair.first].areas_px is not None and frames[pair.second].areas_px is not None
