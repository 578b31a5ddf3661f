"""The time stamps of a stream around the packet in hand: how far apart frames are, and where some are missing."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from itertools import pairwise
from statistics import median
from typing import Final

_SPAN: Final = 160
"""Time stamps that are looked at, before and behind the packet in hand."""

_LEAST: Final = 4
"""Fewer intervals say nothing of a rate."""

_STEADY_SHARE: Final = 0.75
"""A stream has a constant rate where at least so many intervals are alike."""

_LIKE: Final = 0.25
"""Intervals are alike that differ by no more of the usual one, or by the rounding of the time stamps."""

_NEW_CLOCK_S: Final = 10.0
"""A longer jump of the time stamps is a clock that was set, not frames that are missing."""

_EVERY: Final = 8
"""The rate is measured again after so many time stamps."""


class Timeline:
    """Time stamps as packets arrive, in ticks of the stream; display order, whatever the order of arrival."""

    def __init__(self, seconds_per_tick: float) -> None:
        self._new_clock = round(_NEW_CLOCK_S / seconds_per_tick)
        self._arrived: deque[int] = deque()
        self._sorted: list[int] = []
        self._latest: int | None = None
        self._depth = 0
        self._measured: float | None = None
        self._age = _EVERY

    def add(self, ticks: int) -> None:
        """A packet is shown at `ticks`."""
        if self._latest is not None and abs(ticks - self._latest) > self._new_clock:
            self._arrived.clear()
            self._sorted.clear()
            self._latest = None
        self._arrived.append(ticks)
        insort(self._sorted, ticks)
        if len(self._arrived) > _SPAN:
            oldest = self._arrived.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        if self._latest is not None and ticks < self._latest:
            behind = len(self._sorted) - bisect_left(self._sorted, ticks)
            self._depth = max(self._depth, behind)
        self._latest = ticks if self._latest is None else max(self._latest, ticks)
        self._age += 1

    @property
    def interval(self) -> float | None:
        """Ticks from frame to frame; None where the rate is not constant or not known yet."""
        if self._age >= _EVERY or len(self._sorted) <= 2 * _EVERY:
            self._measured, self._age = _steady_interval(self._sorted), 0
        return self._measured

    @property
    def has_holes(self) -> bool:
        """Somewhere around the packet in hand frames are missing, by the time stamps."""
        pairs = pairwise(self._sorted)
        return self.interval is not None and any(self.missing(earlier, later) for earlier, later in pairs)

    def missing(self, earlier: int, later: int) -> int:
        """How many frames are missing between two that follow each other; 0 without a constant rate."""
        interval = self.interval
        return 0 if interval is None else max(0, round((later - earlier) / interval) - 1)

    def holes_around(self, ticks: int, reach: int = 0) -> list[int]:
        """Where frames are missing that matter to a packet shown at `ticks`: time stamps of the frames behind.

        Frames that travel out of order may build on one that is shown some frames later, or earlier. `reach`: how
        many frames a time stamp may be off.
        """
        at = bisect_left(self._sorted, ticks)
        reach = max(reach, self._depth + 1 if self._depth else 0)
        around = range(max(1, at - reach), min(at + reach, len(self._sorted) - 1) + 1)
        return [self._sorted[i] for i in around if self.missing(self._sorted[i - 1], self._sorted[i])]

    def before(self, ticks: int) -> int | None:
        """The time stamp before; None where none is known."""
        at = bisect_left(self._sorted, ticks)
        return self._sorted[at - 1] if at else None

    def between(self, earlier: int, later: int) -> list[int]:
        """Time stamps that are known between two."""
        return self._sorted[bisect_right(self._sorted, earlier) : bisect_left(self._sorted, later)]

    @property
    def depth(self) -> int:
        """How many frames a frame may travel out of order."""
        return self._depth


class Gap:
    """A part of a stream in which no frame is sound: counts the frames that are missing from it."""

    def __init__(self, timeline: Timeline, since: int | None) -> None:
        self._timeline = timeline
        self._stamps = [] if since is None else [since]
        self.origin: int | None = None
        """The packet with which a refresh has begun."""

    def add(self, ticks: int | None) -> int:
        """A packet in the gap; returns how many frames are now known to be missing."""
        if ticks is None:
            return 0
        insort(self._stamps, ticks)
        return self._settle(self._timeline.depth + 1)

    def end(self, ticks: int | None) -> int:
        """The packet from which on frames are sound."""
        if ticks is not None and self._stamps:
            for other in self._timeline.between(self._stamps[-1], ticks):
                insort(self._stamps, other)
        return self.add(ticks) + self._settle(1)

    def _settle(self, keep: int) -> int:
        missing = 0
        while len(self._stamps) > keep + 1 or (keep == 1 and len(self._stamps) > 1):
            earlier = self._stamps.pop(0)
            missing += self._timeline.missing(earlier, self._stamps[0])
        return missing


def _steady_interval(stamps: list[int]) -> float | None:
    steps = [later - earlier for earlier, later in pairwise(stamps)]
    if len(steps) < _LEAST:
        return None
    usual = median(steps)
    if usual <= 0:
        return None
    alike = [step for step in steps if abs(step - usual) <= max(1, _LIKE * usual)]
    if len(alike) < _STEADY_SHARE * len(steps):
        return None
    return sum(alike) / len(alike)
