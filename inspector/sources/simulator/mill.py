"""A simulated mill: the speed of the strip over time, its encoder, and its rolls."""

import math
from dataclasses import dataclass
from itertools import pairwise

MM_PER_M = 1000.0


@dataclass(frozen=True, slots=True)
class SpeedProfile:
    """The strip's speed over time: linear between its points, constant after the last one."""

    points: tuple[tuple[float, float], ...]
    """(seconds since the start, m/s), seconds rising from 0; a negative speed is reverse travel."""

    def __post_init__(self) -> None:
        seconds = [at_s for at_s, _ in self.points]
        if not seconds or seconds[0] != 0.0 or any(later <= earlier for earlier, later in pairwise(seconds)):
            raise ValueError("a speed profile begins at 0 s, and its times rise")

    def speed_mm_s(self, at_s: float) -> float:
        """Return the speed at a time."""
        if at_s <= 0.0:
            return self.points[0][1] * MM_PER_M
        for (from_s, before), (to_s, after) in pairwise(self.points):
            if at_s < to_s:
                return (before + (after - before) * (at_s - from_s) / (to_s - from_s)) * MM_PER_M
        return self.points[-1][1] * MM_PER_M

    def position_mm(self, at_s: float) -> float:
        """Return the distance travelled since the start."""
        way_mm = 0.0
        for (from_s, before), (to_s, after) in pairwise(self.points):
            if at_s <= from_s:
                return way_mm
            until_s = min(at_s, to_s)
            at_end = before + (after - before) * (until_s - from_s) / (to_s - from_s)
            way_mm += (before + at_end) / 2 * (until_s - from_s) * MM_PER_M
        last_s, last = self.points[-1]
        return way_mm + max(0.0, at_s - last_s) * last * MM_PER_M


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder on the strip, as a PLC reports its counter."""

    mm_per_count: float = 1.0
    bits: int = 32

    def count(self, position_mm: float) -> int:
        """Return the counter at a position; after its last value it starts at 0 again."""
        return math.floor(position_mm / self.mm_per_count) % (1 << self.bits)
