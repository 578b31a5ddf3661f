"""Thresholds and rules by class: which pixels are defects, and which defects reject a frame."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from inspector.values import MAX_SCORE, Pixels


@dataclass(frozen=True, slots=True)
class EngineClasses:
    """An engine's classes, and what validation chose for each; a recipe is bound to them.

    Tables are indexed by kind; index 0 (normal) is unused.
    """

    engine: str
    """Name and content hash."""
    names: tuple[str, ...]
    thresholds: tuple[float, ...]
    """A pixel is a defect where 1 − p(normal) ≥ threshold."""
    min_area_px: tuple[int, ...]
    frame_threshold: float | None = None
    """Frame score that validation chose, 0..1; None for an engine that does not score frames."""

    def __post_init__(self) -> None:
        """Check the tables, which may come from another process."""
        if not 2 <= len(self.names) == len(self.thresholds) == len(self.min_area_px):
            raise ValueError(f"tables of {self.engine} differ in length")
        if len(set(self.names)) != len(self.names) or not all(0 <= each <= 1 for each in self.thresholds):
            raise ValueError(f"classes of {self.engine} repeat, or a threshold is not within 0..1")
        if self.frame_threshold is not None and not 0 <= self.frame_threshold <= 1:
            raise ValueError(f"the frame threshold of {self.engine} is not within 0..1")


@dataclass(frozen=True, slots=True)
class CameraView:
    """How one camera sees the strip."""

    mm_per_px_across: float | None = None
    mm_per_px_along: float | None = None
    """None is the recipe's."""
    offset_across_mm: float = 0.0
    """Place of the frame's first column across the strip."""
    mirrored: bool = False
    """Whether columns count towards smaller places across."""


PLAIN: Final = CameraView()
"""A camera that sees the strip from its first column on, at the recipe's scale."""


@dataclass(frozen=True, slots=True)
class BoundRecipe:
    """A recipe bound to one engine's classes: tables indexed by kind; index 0 (normal) is unused."""

    identity: str
    """Name and content hash."""
    names: tuple[str, ...]
    rejects: tuple[bool, ...]
    min_area_mm2: tuple[float, ...]
    score_thresholds: Pixels
    """uint8 [K+1]: a pixel is a defect where score ≥ score_thresholds[kind]."""
    mm_per_px_across: float
    mm_per_px_along: float
    offset_across_mm: float = 0.0
    mirrored: bool = False
    min_length_mm: tuple[float, ...] = ()
    """By kind, along the strip; empty asks for none."""
    min_width_mm: tuple[float, ...] = ()
    """By kind, across the strip; empty asks for none."""
    frame_step: int | None = None
    """Lowest frame score, 1..255, of a frame that its defects may reject; None asks for none."""

    def across_mm(self, column_px: float) -> float:
        """Place of a column across the strip."""
        from_first_mm = column_px * self.mm_per_px_across
        return self.offset_across_mm + (-from_first_mm if self.mirrored else from_first_mm)

    def columns_px(self, from_mm: float, to_mm: float) -> tuple[float, float]:
        """The columns between two places across, the smaller one first."""
        columns = [(place - self.offset_across_mm) / self.mm_per_px_across for place in (from_mm, to_mm)]
        return (-columns[1], -columns[0]) if self.mirrored else (columns[0], columns[1])

    @property
    def min_area_px(self) -> tuple[float, ...]:
        """Minimum areas in px, indexed by kind."""
        mm2_per_px = self.mm_per_px_across * self.mm_per_px_along
        return tuple(area / mm2_per_px for area in self.min_area_mm2)

    @property
    def lowest_step(self) -> int:
        """The lowest threshold: a frame in which no score reaches it is clean."""
        return int(self.score_thresholds[1:].min())

    @property
    def rejected(self) -> frozenset[str]:
        """Names of the classes that the gate rejects; the others are only recorded."""
        return frozenset(name for name, rejects in zip(self.names, self.rejects, strict=True) if rejects)


def score_thresholds(classes: tuple[str, ...], thresholds: dict[str, float]) -> Pixels:
    """Thresholds as a uint8 [K+1] table indexed by kind, in score steps; at least 1, so that score 0 is normal."""
    limits = [MAX_SCORE] + [max(1, round(MAX_SCORE * thresholds[name])) for name in classes[1:]]
    return np.array(limits, np.uint8)


def threshold_maps(kind: Pixels, score: Pixels, thresholds: Pixels) -> Pixels:
    """The class mask, uint8 of the shape of `kind`: the kind where score ≥ its threshold, else 0 (normal).

    Raises IndexError for a kind outside of `thresholds`.
    """
    if int(kind.max()) >= len(thresholds):
        raise IndexError(f"kind {int(kind.max())} of {len(thresholds) - 1}")
    table = np.full(256, MAX_SCORE, np.uint8)
    table[: len(thresholds)] = thresholds
    # OpenCV's table look-up and comparison take a twentieth of numpy's time for thresholds[kind] on a full frame.
    flat = kind.reshape(-1, kind.shape[-1])
    reached = cv2.compare(score.reshape(flat.shape), cv2.LUT(flat, table), cv2.CMP_GE)
    return np.asarray(cv2.bitwise_and(flat, reached), np.uint8).reshape(kind.shape)
