"""Merges all kinds of defect into one, for a network that only separates defect from normal."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from trainer.data.frames import LoadedFrames

DEFECT_CLASS: Final = "defect"
"""Name of the class that stands for all kinds of defect."""


def knows_one_kind(classes: Sequence[str]) -> bool:
    """Whether `classes`, normal first, are those of such a network."""
    return tuple(classes[1:]) == (DEFECT_CLASS,)


def in_classes(classes: Sequence[str], data: LoadedFrames) -> LoadedFrames:
    """The frames labelled in `classes`: unchanged, or with all kinds merged into one. Digests do not change."""
    if not knows_one_kind(classes) or data.present.shape[1] == len(classes):
        return data
    present = np.stack((data.present[:, 0], data.present[:, 1:].any(axis=1)), axis=1)
    return LoadedFrames(data.names, data.frames, np.minimum(data.labels, 1), present, data.digests)
