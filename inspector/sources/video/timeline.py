"""The time stamps around the current packet: the frame interval, and where frames are missing."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from itertools import pairwise
from statistics import median
from typing import Final

_SPAN: Final = 160
"""Time stamps kept around the current packet, earlier and later ones together."""

_LEAST: Final = 4
"""Fewest intervals from which a rate is derived."""

_STEADY_SHARE: Final = 0.75
"""Least share of similar intervals in a stream of constant rate."""

_LIKE: Final = 0.25
"""Largest difference of similar intervals, as a share of the median; time-stamp rounding is always accepted."""

_LEAST_TICKS: Final = 2
"""Shortest interval, ticks, from which missing frames are counted: rounding changes a shorter one by half."""

_NEW_CLOCK_S: Final = 10.0
"""Longest jump of the time stamps within one clock, seconds; a longer jump means that the clock was set."""

_EVERY: Final = 8
"""Time stamps between two measurements of the rate; with few time stamps it is measured each time."""


class Timeline:
    """Time stamps in ticks of the stream, added in order of arrival and kept in display order."""

    def __init__(self, seconds_per_tick: float, *, counts_frames: bool = False) -> None:
        """With `counts_frames`, the time stamps are numbers of frames, so one tick is one frame."""
        self._least_ticks = 1 if counts_frames else _LEAST_TICKS
        self._new_clock = round(_NEW_CLOCK_S / seconds_per_tick)
        self._arrived: deque[int] = deque()
        self._sorted: list[int] = []
        self._pauses: deque[int] = deque(maxlen=_SPAN)
        self._latest: int | None = None
        self._depth = 0
        self._measured: float | None = None
        self._age = _EVERY

    def add(self, ticks: int) -> None:
        """Add the display time of a packet."""
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

    def add_pause(self, ticks: int) -> None:
        """Note that no frame is missing directly before this time stamp."""
        self._pauses.append(ticks)

    @property
    def interval(self) -> float | None:
        """Ticks between frames; None when the rate is not constant or not yet known."""
        if self._age >= _EVERY or len(self._sorted) <= 2 * _EVERY:
            interval = _steady_interval(self._sorted)
            is_known = interval is not None and interval >= self._least_ticks
            self._measured, self._age = interval if is_known else None, 0
        return self._measured

    @property
    def has_holes(self) -> bool:
        """Whether the time stamps around the current packet show missing frames."""
        pairs = pairwise(self._sorted)
        return self.interval is not None and any(self.missing(earlier, later) for earlier, later in pairs)

    def missing(self, earlier: int, later: int) -> int:
        """Return the number of frames missing between two consecutive time stamps; 0 without a constant rate."""
        interval = self.interval
        if interval is None or any(earlier < pause <= later for pause in self._pauses):
            return 0
        return max(0, round((later - earlier) / interval) - 1)

    def holes_around(self, ticks: int, reach: int = 0) -> list[int]:
        """Return the holes that matter to a packet shown at `ticks`, as the time stamps of the frames behind them.

        Reordered frames may build on a frame that is shown some frames earlier or later. `reach` is the possible
        error of a time stamp in frames.
        """
        at = bisect_left(self._sorted, ticks)
        reach = max(reach, self._depth + 1 if self._depth else 0)
        around = range(max(1, at - reach), min(at + reach, len(self._sorted) - 1) + 1)
        return [self._sorted[i] for i in around if self.missing(self._sorted[i - 1], self._sorted[i])]

    @property
    def ends_in_reordering(self) -> bool:
        """Whether the last time stamps lack some frames, as many as are reordered: the stream is cut off."""
        last = pairwise(self._sorted[-self._depth - 2 :]) if self._depth else ()
        return any(0 < self.missing(earlier, later) <= self._depth for earlier, later in last)

    def knows(self, ticks: int) -> bool:
        """Whether the time stamp is among those around the current packet; not from before the clock was set."""
        at = bisect_left(self._sorted, ticks)
        return at < len(self._sorted) and self._sorted[at] == ticks

    def before(self, ticks: int) -> int | None:
        """Return the previous known time stamp; None when there is none."""
        at = bisect_left(self._sorted, ticks)
        return self._sorted[at - 1] if at else None

    def between(self, earlier: int, later: int) -> list[int]:
        """Return the known time stamps between two."""
        return self._sorted[bisect_right(self._sorted, earlier) : bisect_left(self._sorted, later)]

    @property
    def depth(self) -> int:
        """Largest number of frames by which a frame arrives out of order."""
        return self._depth


class Gap:
    """A part of a stream without sound frames; counts the frames missing in it."""

    def __init__(self, timeline: Timeline, since: int | None) -> None:
        self._timeline = timeline
        self._stamps = [] if since is None else [since]
        self.origin: int | None = None
        """The packet at which a refresh began."""

    def add(self, ticks: int | None) -> int:
        """Add a packet in the gap; returns the number of frames now known to be missing."""
        if ticks is None:
            return 0
        insort(self._stamps, ticks)
        return self._settle(self._timeline.depth + 1)

    def end(self, ticks: int | None) -> int:
        """End the gap at the first packet with a sound frame; returns the number of frames still missing."""
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
    alike = [step for step in steps if abs(step - usual) <= max(1, _LIKE * usual)]
    if len(alike) < _STEADY_SHARE * len(steps):
        return None
    return sum(alike) / len(alike)
