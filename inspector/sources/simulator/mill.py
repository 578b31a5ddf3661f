"""A simulated mill: the speed of the strip over time, its encoder, and its coils."""

import math
import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

MM_PER_M = 1000.0

EPOCH_NAME: Final = "mill-epoch"
"""File in the links folder: when the simulated mill began, on the monotonic clock."""


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


@dataclass(frozen=True, slots=True)
class Mill:
    """Where the simulated strip is at each time. Every process of a line has the same mill."""

    profile: SpeedProfile
    repeat: bool
    began_ns: int
    """Monotonic clock."""

    def _rounds(self, monotonic_ns: int) -> tuple[float, float]:
        """How often the profile has passed, and the time within it."""
        at_s = max(0.0, (monotonic_ns - self.began_ns) / 1e9)
        length_s = self.profile.points[-1][0]
        return divmod(at_s, length_s) if self.repeat and length_s else (0.0, at_s)

    def position_mm(self, monotonic_ns: int) -> float:
        """Way of the strip since the mill began."""
        rounds, within_s = self._rounds(monotonic_ns)
        whole_mm = self.profile.position_mm(self.profile.points[-1][0]) if rounds else 0.0
        return rounds * whole_mm + self.profile.position_mm(within_s)

    def speed_mm_s(self, monotonic_ns: int) -> float:
        """Speed of the strip."""
        return self.profile.speed_mm_s(self._rounds(monotonic_ns)[1])


def begun(links: Path) -> int | None:
    """When the mill of this links folder began, on the monotonic clock; None before it has. Raises OSError."""
    try:
        began_ns = int((links / EPOCH_NAME).read_text())
    except FileNotFoundError:
        return None
    return began_ns if began_ns <= time.monotonic_ns() else None  # a later time is from before a restart of the PC


def begin(links: Path) -> int:
    """Begin the mill of this links folder, if nobody has; returns when it began. Raises OSError."""
    began_ns = begun(links)
    if began_ns is not None:
        return began_ns
    part, path = links / f".{EPOCH_NAME}-{os.getpid()}", links / EPOCH_NAME
    part.write_text(str(time.monotonic_ns()))
    try:
        os.link(part, path)
        part.unlink()
    except FileExistsError:
        began_ns = begun(links)
        if began_ns is not None:
            part.unlink()
            return began_ns
        part.replace(path)
    return int(path.read_text())
