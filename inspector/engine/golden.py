"""Golden frames: real frames with the maps an engine gave for them, run again before it is trusted."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from inspector.engine.manifest import GoldenTolerance
from inspector.errors import EngineError
from inspector.rules import threshold_maps
from inspector.values import Pixels


@dataclass(frozen=True, slots=True)
class Golden:
    """Frames and the maps that are expected for them."""

    frames: Pixels
    """uint8 [N, H, W]."""
    kind: Pixels
    """uint8 [N, H/m, W/m]."""
    score: Pixels
    """uint8 [N, H/m, W/m]."""

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.kind) == len(self.score) > 0:
            raise ValueError("golden frames and maps must be as many, and at least one")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two sets of maps are."""

    mask_agreement: float
    """Share of pixels with the same thresholded class."""
    largest_score_difference: int
    """In steps of 1/255."""
    mean_score_difference: float
    """In steps of 1/255."""

    def within(self, tolerance: GoldenTolerance) -> bool:
        """Whether both figures keep to the tolerance."""
        return (
            self.mask_agreement >= tolerance.mask_agreement
            and self.mean_score_difference <= tolerance.mean_score_difference
        )


def compare(golden: Golden, kind: Pixels, score: Pixels, steps: Pixels) -> Agreement:
    """Hold an engine's maps for the golden frames against the expected ones."""
    expected = threshold_maps(golden.kind, golden.score, steps)
    actual = threshold_maps(kind, score, steps)
    difference = np.abs(golden.score.astype(np.int16) - score)
    return Agreement(
        mask_agreement=float((expected == actual).mean()),
        largest_score_difference=int(difference.max()),
        mean_score_difference=float(difference.mean()),
    )


def save(path: Path, golden: Golden) -> None:
    """Write golden.npz (no pickle)."""
    np.savez_compressed(path, frames=golden.frames, kind=golden.kind, score=golden.score)


def load(path: Path) -> Golden:
    """Read golden.npz; raises EngineError when it is not one."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return Golden(*(cast("Pixels", data[name]) for name in ("frames", "kind", "score")))
    except (OSError, KeyError, ValueError) as error:
        raise EngineError(f"{path}: not a golden-frames file ({error}): build the engine again") from None
