"""The simulator's settings, and the frames it produces."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.values import Pixels

CLASS_NAMES: Final = ("pits", "cracks", "scratches", "patches")
"""Names of the kinds 1..4, the four classes of the Severstal data."""

MIN_FRAME_PX: Final = 64
"""Smallest frame side: the median pit and its surroundings still fit."""


@dataclass(frozen=True, slots=True)
class StripSettings:
    """One simulated line. Equal settings give equal bytes, frame by frame."""

    seed: int
    height: int = 256
    """Rows of a frame, along the travel."""
    width: int = 1600
    """Columns of a frame, across the strip."""
    defective_share: float = 0.1
    """Expected share of frames with labelled pixels, 0..1."""
    coil_frames: int = 60
    """Frames of one coil; grey level, texture, edges and stains change between coils."""
    blemishes_per_frame: float = 0.5
    """Expected number of harmless single marks on a frame (see blemishes.py), at least 0."""
    roll_period_px: float | None = None
    """Rows between two marks of a damaged roll; None simulates no such roll."""
    roll_missed_share: float = 0.3
    """Share of turns without a mark."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if min(self.height, self.width) < MIN_FRAME_PX:
            raise ValueError(
                f"a frame must be at least {MIN_FRAME_PX} px each way, got {self.height}×{self.width}"
            )
        if not 0.0 <= self.defective_share <= 1.0:
            raise ValueError(f"defective_share must lie in 0..1, got {self.defective_share}")
        if self.coil_frames < 1:
            raise ValueError(f"coil_frames must be at least 1, got {self.coil_frames}")
        if self.roll_period_px is not None and self.roll_period_px < MIN_FRAME_PX:
            raise ValueError(f"roll_period_px must be at least {MIN_FRAME_PX}, got {self.roll_period_px}")
        if not 0.0 <= self.roll_missed_share < 1.0:
            raise ValueError(f"roll_missed_share must lie in 0..1, got {self.roll_missed_share}")
        if not self.blemishes_per_frame >= 0.0:
            raise ValueError(f"blemishes_per_frame must not be negative, got {self.blemishes_per_frame}")


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One frame of the simulated strip with its label."""

    pixels: Pixels
    """uint8 [H, W], contiguous."""
    label: Pixels
    """uint8 [H, W]: 0 normal, 1..4 the kinds of CLASS_NAMES. Outlines are slightly loose, as annotators draw
    them."""
    coil: str

    def __post_init__(self) -> None:
        if self.pixels.shape != self.label.shape or self.label.dtype != np.uint8:
            raise ValueError(
                f"label must be uint8 of shape {self.pixels.shape}, got {self.label.dtype} {self.label.shape}"
            )
