"""Finds the strip's edges in a picture: where steel meets a background that is darker or brighter than it.

The picture is cut into bands of rows. Each band gives its own place for an edge, and the middle of them counts:
dirt, a defect or a speck of light at the edge moves one band, not the edge.
"""

from typing import Final, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels, StripPlace

BANDS: Final = 8
"""Bands of rows: of eight, three may be spoiled."""

BORDER_PX: Final = 12
"""Outermost columns that show whether there is background at a side."""

BACKGROUND_SHARE: Final = 0.3
"""Background is darker than this share of the bright steel. Real pictures have 0.01 to 0.1 there."""

SIDE_PX: Final = 12
"""Columns on each side of an edge whose grey is compared."""

RAMP_PX: Final = 2
"""Columns of an edge that are neither steel nor background: a lens and a slanting strip blur it."""

OFFSET_GREY: Final = 4.0
"""Added to both sides of a ratio: a background of 1 and one of 2 are equally black."""

STEP_RATIO: Final = 1.6
"""The steel at its edge is brighter than the background by this factor. Real edges have 1.8 to 25; the fall of the
light towards a side, without an edge, has 1.1."""

LEAST_BANDS: Final = 5
"""Bands that must show an edge."""


class Edges(NamedTuple):
    """Where the strip's edges lie, in columns; None where the strip reaches over the picture's border."""

    left_px: float | None
    """First column of steel."""
    right_px: float | None
    """One past its last column."""


Profiles = NDArray[np.float32]
"""Mean grey of each column, by band: float32 [bands, W]."""

NO_EDGES: Final = Edges(None, None)


class EdgeFinder(NamedTuple):
    """Finds the edges in one camera's pictures, and places them on the strip."""

    mm_per_px: float
    """Across."""
    offset_across_mm: float = 0.0
    mirrored: bool = False
    bright_background: bool = False

    def place(self, pixels: Pixels) -> tuple[float | None, float | None]:
        """Where the strip's edges lie across, mm, the smaller place first; None where one is out of view."""
        found = find_edges(pixels, bright_background=self.bright_background)
        near, far = (None if px is None else self._mm(px) for px in found)
        return (far, near) if self.mirrored else (near, far)

    def _mm(self, column_px: float) -> float:
        way_mm = column_px * self.mm_per_px
        return round(self.offset_across_mm + (-way_mm if self.mirrored else way_mm), 2)


def with_edges(place: StripPlace, left_mm: float | None, right_mm: float | None) -> StripPlace:
    """Return the same place with the edges that were found."""
    return msgspec.structs.replace(
        place,
        left_mm=msgspec.UNSET if left_mm is None else left_mm,
        right_mm=msgspec.UNSET if right_mm is None else right_mm,
    )


def find_edges(pixels: Pixels, *, bright_background: bool = False) -> Edges:
    """Find the edges in a picture, uint8 [H, W]; `bright_background` is a lamp behind the strip."""
    height, width = pixels.shape
    if width < 4 * (SIDE_PX + RAMP_PX):
        return NO_EDGES
    rows = max(1, height // BANDS)
    bands = [pixels[top : top + rows] for top in range(0, min(height, BANDS * rows), rows)]
    profiles = np.concatenate([cv2.reduce(band, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F) for band in bands])
    if bright_background:
        profiles = 255.0 - profiles
    right = _left(np.ascontiguousarray(profiles[:, ::-1]))
    return Edges(_left(profiles), None if right is None else width - right)


def _left(profiles: Profiles) -> float | None:
    """The edge at the side of the first column: the median over the bands."""
    steel = float(np.percentile(profiles[:, :: max(1, profiles.shape[1] // 256)], 90))
    if np.median(profiles[:, :BORDER_PX]) > BACKGROUND_SHARE * steel:
        return None
    # Column c of `means` is the mean of the columns c to c + SIDE_PX - 1.
    means = cv2.blur(profiles, (SIDE_PX, 1), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE) + OFFSET_GREY
    apart = SIDE_PX + RAMP_PX
    steps = means[:, apart:] / means[:, :-apart]
    reached = steps > STEP_RATIO
    shown = np.flatnonzero(reached.any(axis=1))
    if len(shown) < min(LEAST_BANDS, len(profiles)):
        return None
    firsts = reached[shown].argmax(axis=1)
    steepest = _windows(steps[shown], firsts, apart).argmax(axis=1)
    return float(np.median(_exact(profiles[shown], firsts + steepest + SIDE_PX - 1)))


def _windows(values: Profiles, starts: NDArray[np.intp], size: int) -> Profiles:
    """The values of each band from its start, [bands, size]; the last column is repeated beyond the border."""
    columns = np.clip(starts[:, np.newaxis] + np.arange(size), 0, values.shape[1] - 1)
    return np.take_along_axis(values, columns, axis=1)


def _exact(profiles: Profiles, last: NDArray[np.intp]) -> NDArray[np.float64]:
    """Where each profile crosses half way from background to steel; `last` is its last column of background."""
    outside = np.median(_windows(profiles, last - SIDE_PX + 1, SIDE_PX), axis=1)
    inside = np.median(_windows(profiles, last + RAMP_PX + 1, SIDE_PX), axis=1)
    half = (outside + inside) / 2
    from_px = last - RAMP_PX
    near = _windows(profiles, from_px, 2 * RAMP_PX + SIDE_PX)
    after = np.maximum((near > half[:, np.newaxis]).argmax(axis=1), 1)
    low, high = (np.take_along_axis(near, (after - each)[:, np.newaxis], axis=1)[:, 0] for each in (1, 0))
    rise = np.where(high > low, high - low, 1.0)
    # The centre of column c lies at c + 0.5.
    return np.asarray(from_px + after - 0.5 + np.clip((half - low) / rise, 0.0, 1.0), np.float64)
