"""Moves thresholds to a stated budget of false rejects on sound frames."""

from dataclasses import replace

import numpy as np

from inspector.values import MAX_SCORE
from trainer.evaluation.frame_verdict import LOWEST_REJECT_STEP, FrameJudge
from trainer.evaluation.predictors import Operation
from trainer.evaluation.thresholds import Maps


def within_budget(operation: Operation, maps: Maps, false_rejects: float) -> Operation:
    """The operation with all thresholds moved by one step count, as low as the budget allows.

    At most the share `false_rejects` of the sound frames is then rejected. Thresholds stay between
    LOWEST_REJECT_STEP and the highest score, so frames that even this rejects go over the budget.
    """
    judge = FrameJudge(operation)
    height, width = maps.labels.shape[1:]
    shifts = []
    for index in np.flatnonzero(~maps.labels.any(axis=(1, 2))).tolist():
        segmentation = maps.segmentation(index)
        steps = judge.reject_steps(segmentation, height, width)
        shifts.append(judge.reject_shift(segmentation, height, width, steps))
    if not shifts:
        return operation
    allowed = int(false_rejects * len(shifts))
    rejecting = sorted((shift for shift in shifts if shift is not None), reverse=True)
    lowest = LOWEST_REJECT_STEP - MAX_SCORE
    shift = rejecting[allowed] + 1 if len(rejecting) > allowed else lowest
    moved = np.clip(judge.score_thresholds.astype(np.int64) + shift, LOWEST_REJECT_STEP, MAX_SCORE)
    kinds = enumerate(operation.classes[1:], start=1)
    return replace(operation, thresholds={name: round(int(moved[kind]) / MAX_SCORE, 4) for kind, name in kinds})
