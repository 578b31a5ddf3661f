"""Compares the best validation figure of a run with what calling every pixel normal reaches."""

import sys

import numpy as np

from trainer.evaluation.alarms import miou_alarm
from trainer.evaluation.metrics import Tally
from trainer.training.settings import TrainSettings
from trainer.training.training_data import TrainingData


def warn_if_useless(settings: TrainSettings, data: TrainingData, miou: float | None) -> None:
    """Print a warning if the best validation mIoU is no better than that of calling every pixel normal."""
    if miou is None:
        return
    classes = settings.classes_of(data.classes)
    labels = (np.minimum(data.loaded.labels[index], len(classes) - 1) for index in data.val)
    if settings.network.get("architecture") == "cnn":  # it answers, and is validated, by frames
        labels = (label.max(keepdims=True) for label in labels)
    baseline = Tally.empty(classes)
    for label in labels:
        baseline.add(label, np.zeros_like(label), rejected=False)
    figures = {"miou": miou, "defective_frames": baseline.defective, "all_normal": baseline.figures()}
    warning = miou_alarm(figures)
    if warning is not None:
        print(f"trainer: warning: {warning}", file=sys.stderr)
