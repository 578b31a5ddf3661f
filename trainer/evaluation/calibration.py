"""Calibration of scores: of the pixels scored 30 %, are 30 % defect?"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import MAX_SCORE, Pixels
from trainer.evaluation.histogram import histogram
from trainer.evaluation.thresholds import LOWEST_STEP

BINS: Final = 15
"""Equal steps of the score, as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""

_SCORES: Final = np.arange(MAX_SCORE + 1) / MAX_SCORE
_BIN_OF: Final = np.minimum((_SCORES * BINS).astype(np.int64), BINS - 1)


def _no_scores() -> NDArray[np.int64]:
    return np.zeros((2, MAX_SCORE + 1), np.int64)


@dataclass(slots=True)
class Reliability:
    """Pixel counts by score, normal and defect, summed over frames."""

    pixels: NDArray[np.int64] = field(default_factory=_no_scores)
    """int64 [2, 256]: labelled normal, labelled defect."""

    def add(self, label: Pixels, score: Pixels) -> None:
        """Count one frame: label and score at its size, uint8 [H, W]."""
        defect = histogram(score, label)
        self.pixels[0] += histogram(score) - defect
        self.pixels[1] += defect

    def figures(self) -> dict[str, Any]:
        """Expected calibration error of all pixels and of doubtful ones, as JSON values.

        Nearly all pixels are plain steel scored 0, which makes the first error small. The second leaves out pixels
        below the lowest threshold that is ever chosen.
        """
        doubtful = np.arange(MAX_SCORE + 1) >= LOWEST_STEP
        return {
            "bins": BINS,
            "error": self._error(np.ones_like(doubtful)),
            "error_of_doubtful": self._error(doubtful),
            "doubtful_from": round(LOWEST_STEP / MAX_SCORE, 4),
        }

    def curve(self) -> list[dict[str, Any]]:
        """Share of defect pixels in every bin that is not empty, as JSON values."""
        curve = []
        for index in range(BINS):
            pixels = self.pixels * (index == _BIN_OF)
            total = int(pixels.sum())
            if total:
                curve.append(
                    {
                        "from": round(index / BINS, 4),
                        "to": round((index + 1) / BINS, 4),
                        "pixels": total,
                        "mean_score": float((pixels.sum(axis=0) * _SCORES).sum() / total),
                        "defect_share": float(pixels[1].sum() / total),
                    }
                )
        return curve

    def _error(self, counted: NDArray[np.bool_]) -> float | None:
        """Mean distance between score and defect share over the bins, weighted by pixels; None without pixels."""
        pixels = self.pixels * counted
        total = int(pixels.sum())
        if total == 0:
            return None
        gap = np.zeros(BINS)
        np.add.at(gap, _BIN_OF, pixels[1] - pixels.sum(axis=0) * _SCORES)
        return float(np.abs(gap).sum() / total)
