"""The defects of a strip, each followed over the frames that show it and then stored in a few bytes."""

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import Defect, Verdict

MAX_KINDS: Final = 65_535
"""Largest index in two bytes; an engine has at most 255 kinds."""


@dataclass(slots=True)
class StripDefect:
    """One defect on the strip, over all frames that show it."""

    kind: int
    name: str
    area_mm2: float
    along_mm: float
    """Centre, weighted by area if several frames show the defect."""
    across_mm: float
    rejected: bool
    """Whether a frame that shows it was rejected."""
    frames: int = 1
    shown_by: Verdict | None = None
    """The frame that shows most of the defect, among those rejected for it that have a picture."""
    shown_mm2: float = 0.0

    def add(self, part: Defect, *, rejected: bool) -> None:
        """Add the part that another frame shows."""
        area_mm2 = self.area_mm2 + part.area_mm2
        share = part.area_mm2 / area_mm2 if area_mm2 > 0 else 0.5
        self.along_mm += share * (part.along_mm - self.along_mm)
        self.across_mm += share * (part.across_mm - self.across_mm)
        self.area_mm2 = area_mm2
        self.rejected |= rejected
        self.frames += 1

    def show(self, verdict: Verdict, part: Defect) -> None:
        """Offer a picture of the defect; the one that shows most of it is kept."""
        if self.shown_by is None or part.area_mm2 > self.shown_mm2:
            self.shown_by, self.shown_mm2 = verdict, part.area_mm2


@dataclass(slots=True)
class DefectTable:
    """Finished defects in rows of 19 bytes, because a long run may have millions."""

    kinds: "array[int]" = field(default_factory=lambda: array("H"))
    """Index into `names`."""
    along_mm: "array[float]" = field(default_factory=lambda: array("d"))
    across_mm: "array[float]" = field(default_factory=lambda: array("f"))
    area_mm2: "array[float]" = field(default_factory=lambda: array("f"))
    rejected: "array[int]" = field(default_factory=lambda: array("B"))
    names: list[tuple[int, str]] = field(default_factory=list)
    """(kind, name) of every kind found. Two engines may give one number different names."""

    def __len__(self) -> int:
        return len(self.kinds)

    def append(self, defect: StripDefect) -> int:
        """Store a defect; returns its row."""
        key = (defect.kind, defect.name)
        if key not in self.names:
            self.names.append(key)
        self.kinds.append(min(self.names.index(key), MAX_KINDS))
        self.along_mm.append(defect.along_mm)
        self.across_mm.append(defect.across_mm)
        self.area_mm2.append(defect.area_mm2)
        self.rejected.append(defect.rejected)
        return len(self.kinds) - 1

    def row(self, n: int) -> StripDefect:
        """Return the defect of a row."""
        kind, name = self.names[self.kinds[n]]
        return StripDefect(
            kind, name, self.area_mm2[n], self.along_mm[n], self.across_mm[n], bool(self.rejected[n])
        )

    def rows_of(self, index: int) -> NDArray[np.intp]:
        """Rows of the kind `names[index]`."""
        return np.flatnonzero(np.asarray(self.kinds) == index)
