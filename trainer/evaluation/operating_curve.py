"""Escape against overkill for other thresholds: what another setting of the same model would give."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import MAX_SCORE, Pixels
from trainer.evaluation.frame_verdict import LOWEST_REJECT_STEP

MAX_POINTS: Final = 80
"""Most points of a curve: more than a chart of 600 px can show."""
_NEVER: Final = -10_000
"""Margin of a frame that no threshold rejects; below every shift."""


@dataclass(slots=True)
class OperatingCurve:
    """Collects the thresholds that would still reject each frame; minimum areas do not change."""

    classes: tuple[str, ...]
    score_thresholds: Pixels
    """Chosen thresholds by kind, score steps, uint8 [classes]."""
    reject_steps: list[Pixels] = field(default_factory=list)
    reject_shifts: list[int] = field(default_factory=list)
    present: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, present: NDArray[np.bool_], reject_steps: Pixels, reject_shift: int | None) -> None:
        """Count one frame: kinds in its label, bool [classes], and `reject_steps` and `reject_shift` of its
        `FrameJudge`."""
        self.present.append(present)
        self.reject_steps.append(reject_steps)
        self.reject_shifts.append(_NEVER if reject_shift is None else reject_shift)

    def figures(self) -> dict[str, Any]:
        """The curve of a common shift of all thresholds, and one curve for each class's threshold, as JSON values.

        In a class's curve, an escape is a frame that shows the class and is not rejected by it, an overkill is a
        good frame that the class rejects. Thresholds below LOWEST_REJECT_STEP reject nothing more.
        """
        last = np.stack(self.reject_steps).astype(np.int64)
        present = np.stack(self.present)
        defective = present[:, 1:].any(axis=1)
        margin = np.array(self.reject_shifts, np.int64)
        lowest, highest = int(self.score_thresholds[1:].min()), int(self.score_thresholds[1:].max())
        shifts = np.arange(LOWEST_REJECT_STEP - highest, MAX_SCORE + 2 - lowest)
        return {
            "common_shift": _points("shift", shifts, margin[defective], margin[~defective], 0),
            "by_class": {
                name: _points(
                    "threshold",
                    np.arange(LOWEST_REJECT_STEP, MAX_SCORE + 2),
                    last[present[:, kind], kind],
                    last[~defective, kind],
                    int(self.score_thresholds[kind]),
                )
                for kind, name in enumerate(self.classes)
                if kind and present[:, kind].any()
            },
        }


def _points(
    name: str, settings: NDArray[np.int64], bad: NDArray[np.int64], good: NDArray[np.int64], chosen: int
) -> dict[str, Any]:
    """Escape and overkill at each setting: a frame is rejected if its value is at least as high."""
    settings = np.union1d(settings, [chosen])
    escape = np.searchsorted(np.sort(bad), settings, side="left") / max(1, len(bad))
    overkill = 1.0 - np.searchsorted(np.sort(good), settings, side="left") / max(1, len(good))
    if not len(good):
        overkill[:] = 0.0
    place = int(np.flatnonzero(settings == chosen)[0])
    changes = np.flatnonzero((np.diff(escape, prepend=-1) != 0) | (np.diff(overkill, prepend=-1) != 0))
    if len(changes) > MAX_POINTS:
        changes = changes[np.linspace(0, len(changes) - 1, MAX_POINTS).round().astype(np.int64)]

    def point(index: int) -> dict[str, float]:
        return {
            name: round(int(settings[index]) / MAX_SCORE, 4),
            "escape": float(escape[index]),
            "overkill": float(overkill[index]),
        }

    points = [point(int(index)) for index in np.union1d(changes, [place])]
    return {"points": points, "chosen": point(place), "defective_frames": len(bad), "good_frames": len(good)}
