"""All possible readings of the paper's "mIoU", from the counts of right and wrong pixels in each frame."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FrameCounts = NDArray[np.int64]
"""Pixels of each frame, [N, 4]: normal called normal, normal called defect, defect called normal, defect called
defect."""


def count_frame(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One row of FrameCounts; both masks are bool [H, W], true for a defect."""
    return np.bincount((2 * truth.astype(np.uint8) + answer).ravel(), minlength=4)


def all_normal(counts: FrameCounts) -> FrameCounts:
    """Counts of the same frames for a model that calls every pixel normal."""
    normal, defect = counts[:, :2].sum(axis=1), counts[:, 2:].sum(axis=1)
    return np.stack((normal, np.zeros_like(normal), defect, np.zeros_like(defect)), axis=1)


def all_defect(counts: FrameCounts) -> FrameCounts:
    """Counts of the same frames for a model that calls every pixel a defect."""
    normal, defect = counts[:, :2].sum(axis=1), counts[:, 2:].sum(axis=1)
    return np.stack((np.zeros_like(normal), normal, np.zeros_like(defect), defect), axis=1)


def pooled_miou(counts: FrameCounts) -> float:
    """Mean of the IoU of normal and of defect, pixels of all frames pooled."""
    return float(_miou(counts.sum(axis=0, keepdims=True))[0])


def pooled_defect_iou(counts: FrameCounts) -> float:
    """IoU of defect, pixels of all frames pooled."""
    return float(_defect_iou(counts.sum(axis=0, keepdims=True))[0])


def frame_miou(counts: FrameCounts) -> float:
    """Mean over frames of the mean of both IoUs; a class in neither truth nor answer counts 1."""
    return float(_miou(counts).mean())


def frame_defect_iou(counts: FrameCounts) -> float:
    """Mean over frames of the IoU of defect; an empty mask on an empty frame counts 1."""
    return float(_defect_iou(counts).mean())


def defective_frame_iou(counts: FrameCounts) -> float:
    """Mean of the IoU of defect over defective frames; NaN without such a frame."""
    defective = counts[counts[:, 2:].any(axis=1)]
    return float(_defect_iou(defective).mean()) if len(defective) else float("nan")


def frame_dice(counts: FrameCounts) -> float:
    """Mean over frames of the Dice of defect; an empty mask on an empty frame counts 1."""
    _, false, missed, hit = counts.T
    return float(_ratio(2 * hit, 2 * hit + false + missed).mean())


def pixel_accuracy(counts: FrameCounts) -> float:
    """Share of correct pixels."""
    return float((counts[:, 0] + counts[:, 3]).sum() / counts.sum())


def frame_accuracy(counts: FrameCounts) -> float:
    """Share of frames correctly called defective or normal; a single defect pixel makes a frame defective."""
    return pixel_accuracy(_as_frames(counts))


def frames_miou(counts: FrameCounts) -> float:
    """Mean of the IoU of normal and of defective frames, frames counted instead of pixels."""
    return pooled_miou(_as_frames(counts))


class Reading(NamedTuple):
    """One way to read the paper's figure."""

    title: str
    of: Callable[[FrameCounts], float]


READINGS: Final[dict[str, Reading]] = {
    "pooled_miou": Reading("mIoU, pixels pooled", pooled_miou),
    "pooled_defect_iou": Reading("defect IoU, pixels pooled", pooled_defect_iou),
    "frame_miou": Reading("mIoU, mean over frames", frame_miou),
    "frame_defect_iou": Reading("defect IoU, mean over frames", frame_defect_iou),
    "defective_frame_iou": Reading("defect IoU, defective frames", defective_frame_iou),
    "frame_dice": Reading("Dice, mean over frames", frame_dice),
    "pixel_accuracy": Reading("pixel accuracy", pixel_accuracy),
    "frame_accuracy": Reading("frame accuracy", frame_accuracy),
    "frames_miou": Reading("mIoU of whole frames", frames_miou),
}
"""Key → title and function(FrameCounts) in 0..1; in means over frames, empty on empty counts 1."""


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ratio element by element; 1 where `whole` is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _defect_iou(counts: FrameCounts) -> NDArray[np.float64]:
    _, false, missed, hit = counts.T
    return _ratio(hit, hit + false + missed)


def _miou(counts: FrameCounts) -> NDArray[np.float64]:
    right, false, missed, _ = counts.T
    return (_ratio(right, right + false + missed) + _defect_iou(counts)) / 2.0


def _as_frames(counts: FrameCounts) -> FrameCounts:
    """Each frame as one pixel: [N, 4], with a single 1 per row."""
    truth, answer = counts[:, 2:].any(axis=1), counts[:, [1, 3]].any(axis=1)
    return np.eye(4, dtype=np.int64)[2 * truth + answer]
