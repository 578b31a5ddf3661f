"""Every kind of defect as one: labelled frames for a network that tells defect from normal and nothing else."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from trainer.data.frames import LoadedFrames

DEFECT_CLASS: Final = "defect"
"""Name of every kind of defect taken together."""


def knows_one_kind(classes: Sequence[str]) -> bool:
    """Whether these, normal first, are the classes of such a network."""
    return tuple(classes[1:]) == (DEFECT_CLASS,)


def in_classes(classes: Sequence[str], data: LoadedFrames) -> LoadedFrames:
    """The frames labelled in `classes`: as they are, or with every kind as one. Digests stay those of the data."""
    if not knows_one_kind(classes) or data.present.shape[1] == len(classes):
        return data
    present = np.stack((data.present[:, 0], data.present[:, 1:].any(axis=1)), axis=1)
    return LoadedFrames(data.names, data.frames, np.minimum(data.labels, 1), present, data.digests)
