"""Counts frames that show a kind of defect: how many are rejected, and how many for that kind."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import counted


@dataclass(slots=True)
class FrameRecall:
    """Sums over frames by the kinds in their labels."""

    classes: tuple[str, ...]
    frames: NDArray[np.int64]
    rejected: NDArray[np.int64]
    named: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: tuple[str, ...]) -> "FrameRecall":
        """A sum without frames."""
        return cls(classes, *(np.zeros(len(classes), np.int64) for _ in range(3)))

    def add(self, present: NDArray[np.bool_], rejecting: NDArray[np.bool_]) -> None:
        """Count one frame: kinds in its label, and kinds with a defect that rejects it; bool [classes]."""
        self.frames += present
        self.rejected += present & rejecting[1:].any()
        self.named += present & rejecting

    def figures(self) -> dict[str, Any]:
        """By class, its frames that were rejected for any kind (`share`) and for this kind (`named`)."""
        return {
            name: {
                **counted(int(self.rejected[kind]), int(self.frames[kind])),
                "named": counted(int(self.named[kind]), int(self.frames[kind])),
            }
            for kind, name in enumerate(self.classes)
            if kind
        }
