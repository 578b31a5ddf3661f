"""Figures of merit from a confusion matrix of pixels and from frame decisions; numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.evaluation.histogram import VALUES, histogram
from trainer.evaluation.intervals import INTERVAL, wilson

Counts = NDArray[np.int64]
"""Confusion matrix, [classes, classes]: rows are the truth, columns the answer."""


def confusion(truth: Pixels, answer: Pixels, classes: int) -> Counts:
    """Count pixels by (truth, answer), int64 [classes, classes]; both maps are uint8 of one shape."""
    if classes * classes <= VALUES:
        codes = truth * np.uint8(classes) + answer
        return histogram(codes)[: classes * classes].reshape(classes, classes)
    wide = truth.ravel().astype(np.int64) * classes + answer.ravel()
    return np.bincount(wide, minlength=classes * classes).reshape(classes, classes)


def iou_of(counts: Counts) -> list[float | None]:
    """Intersection over union per class; None for a class in neither truth nor answer."""
    overlap = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - overlap
    return [float(o / u) if u else None for o, u in zip(overlap, union, strict=True)]


def dice_of(counts: Counts) -> list[float | None]:
    """Dice coefficient per class; None for a class in neither truth nor answer."""
    overlap = np.diag(counts)
    total = counts.sum(axis=0) + counts.sum(axis=1)
    return [float(2 * o / t) if t else None for o, t in zip(overlap, total, strict=True)]


def collapse(counts: Counts) -> Counts:
    """The confusion matrix of normal against defect, [2, 2]."""
    defect = np.add.reduceat(counts, [0, 1], axis=0)
    return np.asarray(np.add.reduceat(defect, [0, 1], axis=1), np.int64)


def frame_dice(counts: Counts) -> NDArray[np.float64]:
    """Kaggle's Dice of one frame per defect kind, [classes − 1]; 1 if truth and answer are both empty."""
    return np.array([1.0 if value is None else value for value in dice_of(counts)[1:]])


def mean_known(values: list[float | None]) -> float:
    """Mean over the classes that occur; 0 if none does."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


@dataclass(slots=True)
class Tally:
    """Sums over frames; `figures` gives the totals under the keys of `trainer evaluate --json`."""

    classes: tuple[str, ...]
    counts: Counts
    kaggle: NDArray[np.float64]
    frames: int = 0
    defective: int = 0
    escapes: int = 0
    overkills: int = 0

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> "Tally":
        """A tally without frames."""
        k = len(classes)
        return cls(classes, np.zeros((k, k), np.int64), np.zeros(k - 1))

    def add(self, truth: Pixels, answer: Pixels, *, rejected: bool) -> None:
        """Count one frame: label and predicted class mask, uint8 [H, W], and the decision on it."""
        counts = confusion(truth, answer, len(self.classes))
        self.counts += counts
        self.kaggle += frame_dice(counts)
        self.frames += 1
        defective = bool(counts[1:].any())
        self.defective += defective
        self.escapes += defective and not rejected
        self.overkills += rejected and not defective

    def figures(self) -> dict[str, Any]:
        """The figures as JSON values; a share of no frames is 0 and has no interval."""
        iou = iou_of(self.counts)
        binary = iou_of(collapse(self.counts))
        good = self.frames - self.defective
        return {
            "frames": self.frames,
            "defective_frames": self.defective,
            "good_frames": good,
            "miou": mean_known(iou),
            "iou": dict(zip(self.classes, iou, strict=True)),
            "defect_iou": binary[1] or 0.0,
            "binary_miou": mean_known(binary),
            "dice": dict(zip(self.classes, dice_of(self.counts), strict=True)),
            "kaggle_dice": float(self.kaggle.mean()) / self.frames if self.frames else 0.0,
            "escape": self.escapes / self.defective if self.defective else 0.0,
            "escape_interval": _interval(self.escapes, self.defective),
            "overkill": self.overkills / good if good else 0.0,
            "overkill_interval": _interval(self.overkills, good),
            "interval": INTERVAL,
            "escapes": self.escapes,
            "overkills": self.overkills,
        }


def _interval(count: int, of: int) -> list[float] | None:
    interval = wilson(count, of)
    return None if interval is None else list(interval)
