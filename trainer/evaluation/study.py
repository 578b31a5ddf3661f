"""Computes all figures of an evaluation in one pass over the frames, and collects the worst frames."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from inspector.values import Pixels
from trainer.evaluation.calibration import Reliability
from trainer.evaluation.defect_hits import DefectHits
from trainer.evaluation.frame_recall import FrameRecall
from trainer.evaluation.frame_score import FrameScores
from trainer.evaluation.frame_verdict import FrameVerdict
from trainer.evaluation.histogram import histogram
from trainer.evaluation.metrics import Tally
from trainer.evaluation.operating_curve import OperatingCurve
from trainer.evaluation.predictors import Operation

MAX_SHOWN: Final = 6
"""Number of escapes and of overkills kept for pictures."""


@dataclass(frozen=True, slots=True)
class WrongFrame:
    """A wrongly judged frame."""

    index: int
    rank: int
    """Severity: labelled area that escaped, px, or score steps by which good steel exceeded the threshold."""
    mask: Pixels
    """The predicted class mask, uint8 [H, W]."""


@dataclass(slots=True)
class Study:
    """Sums over frames."""

    operation: Operation
    map_stride: int
    data_sha256: str
    tally: Tally
    baseline: Tally
    recall: FrameRecall
    hits: DefectHits
    reliability: Reliability
    curve: OperatingCurve
    escapes: list[WrongFrame]
    """Worst first, at most MAX_SHOWN."""
    overkills: list[WrongFrame]
    frame_scores: FrameScores
    """Without frames for a network that does not score them."""

    @classmethod
    def start(cls, operation: Operation, steps: Pixels, map_stride: int, data_sha256: str) -> "Study":
        """A study without frames; `steps` are the thresholds by kind, uint8 [classes]."""
        return cls(
            operation,
            map_stride,
            data_sha256,
            Tally.empty(operation.classes),
            Tally.empty(operation.classes),
            FrameRecall.empty(operation.classes),
            DefectHits(),
            Reliability(),
            OperatingCurve(operation.classes, steps),
            [],
            [],
            FrameScores(),
        )

    def add(
        self, index: int, label: Pixels, verdict: FrameVerdict, reject_steps: Pixels, reject_shift: int | None
    ) -> None:
        """Count one frame: its label uint8 [H, W], the verdict, and `reject_steps` and `reject_shift` of its
        `FrameJudge`."""
        present = histogram(label)[: len(self.operation.classes)] > 0
        present[0] = False
        self.tally.add(label, verdict.mask, rejected=verdict.rejected)
        self.baseline.add(label, np.zeros_like(label), rejected=False)
        self.recall.add(present, verdict.rejecting)
        self.hits.add(label, verdict.mask)
        self.reliability.add(label, verdict.score)
        self.curve.add(present, reject_steps, reject_shift)
        if present.any() and not verdict.rejected:
            _keep(self.escapes, index, int(np.count_nonzero(label)), verdict.mask)
        elif verdict.rejected and not present.any():
            over = reject_steps.astype(np.int64) - self.curve.score_thresholds
            _keep(self.overkills, index, int(over[verdict.rejecting].max()), verdict.mask)

    def figures(self) -> dict[str, Any]:
        """Figures of `trainer evaluate --json` that a card stores, as JSON values."""
        return {
            **self.tally.figures(),
            "frame_recall": self.recall.figures(),
            **self.hits.figures(),
            "calibration": self.reliability.figures(),
            "confusion": {"classes": list(self.operation.classes), "pixels": self.tally.counts.tolist()},
            "thresholds": self.operation.thresholds,
            "min_area_px": self.operation.min_area_px,
            "all_normal": self.baseline.figures(),
            **self._with_frame_score(),
            "map_stride": self.map_stride,
            "data_sha256": self.data_sha256,
        }

    def _with_frame_score(self) -> dict[str, Any]:
        if not self.frame_scores.scores:
            return {}
        return {"with_frame_score": self.frame_scores.figures(self.operation.frame_threshold or 0.0)}

    def curves(self) -> dict[str, Any]:
        """Curves of `trainer evaluate --json`, which are too long for a card."""
        return {"operating_curve": self.curve.figures(), "reliability_curve": self.reliability.curve()}


def _keep(worst: list[WrongFrame], index: int, rank: int, mask: Pixels) -> None:
    worst.append(WrongFrame(index, rank, mask))
    worst.sort(key=lambda wrong: (-wrong.rank, wrong.index))
    del worst[MAX_SHOWN:]
