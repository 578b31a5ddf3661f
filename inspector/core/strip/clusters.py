"""Finds where defects lie closest together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Cluster(NamedTuple):
    """The square of the strip that holds most defects."""

    defects: int
    along_mm: float
    across_mm: float
    """Its first corner."""


def densest(along_mm: Sequence[float], across_mm: Sequence[float], size_mm: float) -> Cluster:
    """Return the square of `size_mm` that holds the centres of most defects; `along_mm` is sorted, not empty."""
    along, across = np.asarray(along_mm, float), np.asarray(across_mm, float)
    ends = np.searchsorted(along, along + size_mm, side="right")
    best = Cluster(0, 0.0, 0.0)
    # Every square can be moved until a defect lies on its first edge along, and another one on that across.
    for first in np.argsort(np.arange(len(along)) - ends, kind="stable").tolist():
        last = int(ends[first])
        if last - first <= best.defects:
            break  # sorted by how many lie in the band: no later one has more
        places = np.sort(across[first:last])
        counts = np.searchsorted(places, places + size_mm, side="right") - np.arange(len(places))
        most = int(counts.argmax())
        if counts[most] > best.defects:
            best = Cluster(int(counts[most]), float(along[first]), float(places[most]))
    return best
