"""Faults that show only over all frames of a data set: labels that teach a network nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.faults import DataError, Fault


def whole_set_faults(root: Path, present: NDArray[np.bool_]) -> Iterator[Fault]:
    """Faults of all labels together; `present` is bool [frames, classes], normal first."""
    if not len(present):
        return
    if not present[:, 1:].any():
        text = (
            f"none of the {len(present)} frames shows a defect: a network cannot learn from normal frames alone; "
            "label defects, or add frames that show them"
        )
        yield Fault("no defect", root, text)
    elif not present[:, 0].any():
        text = (
            "no pixel of any frame is normal (class 0): do the labels count from 1? "
            "`trainer import masks SRC OUT --first 1` makes their lowest class normal"
        )
        yield Fault("no normal pixel", root, text)


def check_whole_set(root: Path, present: NDArray[np.bool_]) -> None:
    """Raise DataError for the first fault of all labels together."""
    for fault in whole_set_faults(root, present):
        raise DataError(fault)
