"""Finds the strip's position at the time of a frame from the newest samples."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from inspector.core.strip.odometer import Sample, Speeds
from inspector.values import Motion, StripPlace

TRACK_SAMPLES: Final = 64
"""Number of samples passed to ingest: over a second at 20 ms, more than a frame takes through ingest."""

STALE_NS: Final = 200_000_000
"""Longest time that the newest sample is carried on at its speed. Then the position is unknown.

A strip that changes its speed by 10 m/s² is then 200 mm off, less than a frame of 256 rows at 1 mm. From there on,
counting frames is better: a triggered camera gives one for each frame's length."""

NOISE_SHARE: Final = 0.05
"""Overlaps and gaps below this share of a frame are interpolation noise."""


class Place(NamedTuple):
    """Where the strip is at one time."""

    position_mm: float
    speed_mm_s: float
    zero: int
    """`Sample.zero`."""


def place_at(samples: Sequence[Sample], monotonic_ns: int) -> Place | None:
    """Return the place at a time between two samples, or up to STALE_NS after the last one.

    None if a sample beside that time is not sure, or if both are too far from it or from each other.
    """
    if not samples:
        return None
    after = bisect_right(samples, monotonic_ns, key=lambda sample: sample.monotonic_ns)
    before = samples[max(0, after - 1)]
    later = samples[after] if after < len(samples) else None
    if not before.sure or (later is not None and not later.sure):
        return None
    if after == 0 or later is None or later.monotonic_ns - before.monotonic_ns > STALE_NS:
        # After a longer silence the strip may have done anything before the later sample.
        return _carried(before, monotonic_ns)
    if later.zero != before.zero:
        return None
    share = (monotonic_ns - before.monotonic_ns) / (later.monotonic_ns - before.monotonic_ns)
    return Place(
        before.position_mm + share * (later.position_mm - before.position_mm),
        before.speed_mm_s + share * (later.speed_mm_s - before.speed_mm_s),
        before.zero,
    )


def _carried(sample: Sample, monotonic_ns: int) -> Place | None:
    """Carry a sample on, or back, at its speed."""
    age_ns = monotonic_ns - sample.monotonic_ns
    if abs(age_ns) > STALE_NS:
        return None
    return Place(sample.position_mm + sample.speed_mm_s * age_ns / 1e9, sample.speed_mm_s, sample.zero)


class Coverage:
    """Marks the steel that one camera's frames show twice or miss, in the order of its frames."""

    def __init__(self, speeds: Speeds) -> None:
        self._speeds = speeds
        self._seen_mm: float | None = None
        """End of the steel that frames have shown so far."""
        self._end_mm = 0.0
        """End of the previous frame; behind `_seen_mm` after reverse travel, and if frames come out of order."""

    def mark(self, position_mm: float, length_mm: float, speed_mm_s: float) -> StripPlace:
        """Return the mark of the next frame, whose first row is at `position_mm`."""
        seen_mm, end_mm = self._seen_mm, position_mm + length_mm
        overlap_mm = gap_mm = 0.0
        if seen_mm is not None:
            overlap_mm = min(max(seen_mm - position_mm, 0.0), length_mm)
            gap_mm = max(position_mm - self._end_mm, 0.0)
            noise_mm = NOISE_SHARE * length_mm
            overlap_mm = 0.0 if overlap_mm < noise_mm else round(overlap_mm, 1)
            gap_mm = 0.0 if gap_mm < noise_mm else round(gap_mm, 1)
        self._seen_mm = end_mm if seen_mm is None else max(seen_mm, end_mm)
        self._end_mm = end_mm
        motion = self._speeds.motion(speed_mm_s)
        return StripPlace(motion, round(speed_mm_s, 1), overlap_mm, gap_mm, round(length_mm, 1))

    def unknown(self) -> StripPlace:
        """Return the mark of a frame whose position is counted from frames."""
        self._seen_mm = None
        return StripPlace(Motion.UNKNOWN)
