"""A mark on the strip: its position, and the patch of changed steel that it draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.sources.simulator.noise import FloatMap
from inspector.values import Pixels

GAIN_RANGE: Final = (0.08, 2.5)
"""Limits of the gain: the darkest hole still reflects a little; the brightest face stays below a lamp."""


@dataclass(frozen=True, slots=True)
class Patch:
    """How a mark changes the steel under it: pixel · gain + light."""

    gain: FloatMap
    """[rows, columns]; 1 where nothing changes."""
    light: FloatMap
    """[rows, columns]: grey levels added by reflection."""
    label: Pixels
    """[rows, columns]: 0, or the kind of defect."""

    def __post_init__(self) -> None:
        if not self.gain.shape == self.light.shape == self.label.shape:
            raise ValueError(f"patch of {self.gain.shape}, {self.light.shape}, {self.label.shape}")


def defect_patch(kind: int, gain: NDArray[np.floating], light: NDArray[np.floating], label: Pixels) -> Patch:
    """Return the patch of a defect of `kind`; `label` is its loose outline as 0/1."""
    drawn = np.where(label > 0, np.uint8(kind), np.uint8(0))
    return Patch(np.clip(gain, *GAIN_RANGE).astype(np.float32), light.astype(np.float32), drawn)


Draw = Callable[[np.random.Generator, int, int], Patch]
"""Draws a mark that fills a box of the given rows and columns and contains all of its label."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a coil, not yet drawn."""

    top: int
    """First row of its box on the coil, px."""
    left: int
    """First column of its box, px; may lie outside the frame."""
    rows: int
    columns: int
    draw: Draw
    seed: tuple[int, ...]

    @property
    def bottom(self) -> int:
        """Row after the last row, px."""
        return self.top + self.rows

    def patch(self) -> Patch:
        """Draw the mark, [rows, columns]."""
        return self.draw(np.random.default_rng(self.seed), self.rows, self.columns)
