"""Frames that show a kind of defect: how many were rejected, and how many for the right reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import counted


@dataclass(slots=True)
class FrameRecall:
    """Adds up frames by the kinds their labels show."""

    classes: tuple[str, ...]
    frames: NDArray[np.int64]
    rejected: NDArray[np.int64]
    named: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> "FrameRecall":
        """Nothing counted yet."""
        return cls(classes, *(np.zeros(len(classes), np.int64) for _ in range(3)))

    def add(self, present: NDArray[np.bool_], rejecting: NDArray[np.bool_]) -> None:
        """Count one frame: kinds in its label, and kinds with a defect that rejects it; bool [classes]."""
        self.frames += present
        self.rejected += present & rejecting[1:].any()
        self.named += present & rejecting

    def figures(self) -> dict[str, Any]:
        """By class: frames that show it and were rejected, whatever for (`share`), and as it (`named`)."""
        return {
            name: {
                **counted(int(self.rejected[kind]), int(self.frames[kind])),
                "named": counted(int(self.named[kind]), int(self.frames[kind])),
            }
            for kind, name in enumerate(self.classes)
            if kind
        }
