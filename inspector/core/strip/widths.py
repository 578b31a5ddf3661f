"""The strip's edges as one camera saw them along the strip."""

from array import array

import msgspec
import numpy as np
from numpy.typing import NDArray

from inspector.values import StripPlace


class Widths:
    """Edges by position: 24 bytes for each frame that shows one."""

    def __init__(self) -> None:
        self._rows = array("d")
        """Position, left, right of each frame, NaN for an edge that is out of view."""

    def add(self, start_mm: float, place: StripPlace) -> None:
        """Note one frame's edges, if it shows any."""
        edges = [
            float("nan") if isinstance(edge, msgspec.UnsetType) else edge
            for edge in (place.left_mm, place.right_mm)
        ]
        if not all(edge != edge for edge in edges):  # NaN differs from itself
            self._rows.extend((start_mm, *edges))

    def _table(self) -> NDArray[np.float64]:
        return np.frombuffer(self._rows).reshape(-1, 3) if self._rows else np.empty((0, 3))

    def between(self, start_mm: float, end_mm: float) -> tuple[float | None, float | None]:
        """Return the median left and right edge of the frames in this stretch; None where no frame shows one."""
        table = self._table()
        inside = table[(table[:, 0] >= start_mm) & (table[:, 0] < end_mm)]
        left, right = (column[~np.isnan(column)] for column in (inside[:, 1], inside[:, 2]))
        return (
            float(np.median(left)) if left.size else None,
            float(np.median(right)) if right.size else None,
        )

    def forget(self, before_mm: float) -> None:
        """Drop the frames before a position."""
        table = self._table()
        self._rows = array("d", table[table[:, 0] >= before_mm].ravel().tolist())
