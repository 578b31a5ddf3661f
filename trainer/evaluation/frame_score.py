"""What the score of the frame as a whole changes: escape and overkill with it beside those without it."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import frame_score_of, frame_step
from trainer.evaluation.intervals import wilson

STATED_ESCAPE: Final = 0.05
"""Share of the defective validation frames that the frame threshold may let pass, if nobody states another."""


@dataclass(slots=True)
class FrameScores:
    """Frames with their score, their label, and the verdict of their regions."""

    scores: list[int] = field(default_factory=list)
    """1..255; 0 for a frame whose score is NaN: the line does not inspect it, and the gate rejects it."""
    defective: list[bool] = field(default_factory=list)
    rejected: list[bool] = field(default_factory=list)

    def add(self, score: int, *, defective: bool, rejected: bool) -> None:
        """Count one frame; `rejected` is the verdict without the frame score."""
        self.scores.append(score)
        self.defective.append(defective)
        self.rejected.append(rejected)

    def figures(self, threshold: float) -> dict[str, Any]:
        """Escape and overkill if the recipe sets `frame_score` to the threshold, and the AUC, as JSON values."""
        scores, defective = np.array(self.scores), np.array(self.defective, np.bool_)
        unsound = scores == 0
        passes = np.array(self.rejected, np.bool_) & (scores >= frame_step(threshold)) | unsound
        escapes, overkills = int((defective & ~passes).sum()), int((~defective & passes).sum())
        bad, good = int(defective.sum()), int((~defective).sum())
        return {
            "threshold": threshold,
            "auc": auc(scores[defective], scores[~defective]),
            "escape": escapes / bad if bad else 0.0,
            "escapes": escapes,
            "escape_interval": _interval(escapes, bad),
            "overkill": overkills / good if good else 0.0,
            "overkills": overkills,
            "overkill_interval": _interval(overkills, good),
        }

    def choose(self, stated_escape: float) -> float:
        """The highest threshold below which at most the stated share of the defective frames lies.

        0, which no frame misses, where no defective frame is known.
        """
        known = np.sort(np.array(self.scores)[np.array(self.defective, np.bool_)])
        known = known[known > 0]
        if not len(known):
            return 0.0
        return _threshold(int(known[int(stated_escape * len(known))]))


def auc(bad: NDArray[np.int_], good: NDArray[np.int_]) -> float | None:
    """Probability that a defective frame scores higher than a sound one; ties count half. None without a pair."""
    if not len(bad) or not len(good):
        return None
    ordered = np.sort(good)
    below, up_to = np.searchsorted(ordered, bad, "left"), np.searchsorted(ordered, bad, "right")
    return float((below + up_to).mean() / 2 / len(good))


def _threshold(step: int) -> float:
    """Rounded down, so that a frame with this score reaches it."""
    value = frame_score_of(step)
    return float(np.floor(value * 10_000) / 10_000)


def _interval(count: int, of: int) -> list[float] | None:
    interval = wilson(count, of)
    return None if interval is None else list(interval)


def with_frame_score(figures: dict[str, Any]) -> str:
    """Escape, overkill and AUC of `FrameScores.figures` for people."""
    area = "" if figures["auc"] is None else f", AUC of the frame score {figures['auc']:.3f}"
    return f"escape {figures['escape']:.2%}, overkill {figures['overkill']:.2%}{area}"
