"""A mark on the strip: where it is, and the patch of changed steel that it draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.sources.simulator.noise import FloatMap
from inspector.values import Pixels

GAIN_RANGE: Final = (0.08, 2.5)
"""The darkest hole still reflects a little; the brightest face is short of a lamp."""


@dataclass(frozen=True, slots=True)
class Patch:
    """How a mark changes the steel under it: pixel · gain + light."""

    gain: FloatMap
    """[rows, columns], 1 where nothing changes."""
    light: FloatMap
    """[rows, columns], grey levels that reflect on top."""
    label: Pixels
    """[rows, columns]: 0, or the kind of defect."""

    def __post_init__(self) -> None:
        if not self.gain.shape == self.light.shape == self.label.shape:
            raise ValueError(f"patch of {self.gain.shape}, {self.light.shape}, {self.label.shape}")


def defect_patch(kind: int, gain: NDArray[np.floating], light: NDArray[np.floating], label: Pixels) -> Patch:
    """The patch of a defect of `kind` whose loose outline `label` holds as 0/1."""
    drawn = np.where(label > 0, np.uint8(kind), np.uint8(0))
    return Patch(np.clip(gain, *GAIN_RANGE).astype(np.float32), light.astype(np.float32), drawn)


Draw = Callable[[np.random.Generator, int, int], Patch]
"""Draws a mark that fills a box of so many rows and columns, all of its label within."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a coil, not drawn yet."""

    top: int
    """First row of its box on the coil, px."""
    left: int
    """First column of its box; may lie outside the frame."""
    rows: int
    columns: int
    draw: Draw
    seed: tuple[int, ...]

    @property
    def bottom(self) -> int:
        """Row after its last."""
        return self.top + self.rows

    def patch(self) -> Patch:
        """The drawn mark, [rows, columns]."""
        return self.draw(np.random.default_rng(self.seed), self.rows, self.columns)
