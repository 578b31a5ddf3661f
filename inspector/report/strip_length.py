"""The length of strip that the frames cover, and how much of it was inspected."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.report.run_figures import DECISIONS, Strip


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Size of a frame on the strip; None if the run does not contain it."""

    length_mm: float | None
    width_mm: float | None


@dataclass(frozen=True, slots=True)
class Covered:
    """Length of strip by decision, mm; where frames overlap, the later one counts."""

    accepted_mm: float
    rejected_mm: float
    uninspected_mm: float

    @property
    def inspected_mm(self) -> float:
        """Accepted or rejected."""
        return self.accepted_mm + self.rejected_mm


def covered(strip: Strip, frame_length_mm: float | None) -> Covered:
    """Return the length of the strip that was accepted, rejected and not inspected."""
    starts_mm, decisions = in_order(strip)
    length_mm = frame_length_mm or frame_length_mm_of(strip, starts_mm, [])
    lengths_mm = np.minimum(np.diff(starts_mm, append=starts_mm[-1] + length_mm), length_mm)
    return Covered(*(float(lengths_mm[decisions == decision].sum()) for decision in range(len(DECISIONS))))


def in_order(strip: Strip) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the frames' positions and decisions, in the order of the strip."""
    starts_mm = np.asarray(strip.positions_mm, np.float64)
    order = np.argsort(starts_mm, kind="stable")
    return starts_mm[order], np.asarray(strip.decisions, np.uint8)[order]


def frame_length_mm_of(strip: Strip, starts_mm: NDArray[np.float64], notes: list[str]) -> float:
    """Estimate a frame's length as the median distance to the next frame, because verdicts do not contain it.

    With one position only, the furthest defect gives the length, and a note says so.
    """
    steps_mm = np.diff(starts_mm)
    if (steps_mm > 0).any():
        return float(np.median(steps_mm[steps_mm > 0]))
    what = "a single frame" if len(starts_mm) == 1 else "all frames at one position"
    notes.append(f"{what}: the length on the strip is not known, drawn up to the furthest defect")
    return max(strip.reach_mm * 1.1, 1.0)
