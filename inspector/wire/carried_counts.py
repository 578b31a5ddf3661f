"""Places a camera's frames by the encoder counts that they carry, in its ingest.

The strip process follows the counts and says which position a count stands for. From there a frame's own count
gives its place exactly, without a clock, even while the strip process is away.
"""

import math
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from inspector.core.strip.odometer import SPEED_SILENT_S, Sample, Scale, Speeds, Stretch
from inspector.core.strip.track import STALE_NS, Place
from inspector.repeated import Repeated
from inspector.wire.encoder_count import CountWriter

SPEED_NS: Final = 50_000_000
"""Shortest time over which the speed is measured without the strip process: a frame's time is known to about a
millisecond."""

log = structlog.get_logger()


class _Anchor(NamedTuple):
    """A count and the position that it stands for."""

    monotonic_ns: int
    counted: float
    position_mm: float
    speed_mm_s: float
    zero: int


class CarriedCounts:
    """The counts of one camera's frames."""

    def __init__(self, folder: Path, scale: Scale, speeds: Speeds) -> None:
        """Raises OSError."""
        self._scale, self._max_mm_s = scale, speeds.max_mm_s
        self._writer = CountWriter(folder)
        self._last: _Anchor | None = None
        """The newest frame that was placed by its count."""
        self._before: tuple[int, float] | None = None
        """Time and position from which the speed is measured."""
        self._missing, self._jumps = Repeated(), Repeated()

    def place(
        self, monotonic_ns: int, count: int | None, newest: Sample | None, newest_count: float
    ) -> Place | None:
        """The place of the frame with this count; None when its count does not give it.

        `newest` is the strip's newest sample, `newest_count` its count, NaN without one.
        """
        if count is None:
            if (times := self._missing.due()) is not None:
                log.warning(
                    "a frame carries no encoder count: its place follows from its time; see encoder_chunk and the "
                    "camera's chunk features",
                    count=times,
                )
            return None
        self._writer.keep(monotonic_ns, count)
        anchor = self._anchor(monotonic_ns, newest, newest_count)
        if anchor is None:
            return None
        elapsed_s = (monotonic_ns - anchor.monotonic_ns) / 1e9
        stretch = Stretch(abs(elapsed_s), anchor.speed_mm_s, anchor.speed_mm_s)
        moved_mm = self._scale.moved_mm(anchor.counted, count, anchor.speed_mm_s * elapsed_s)
        silent = abs(elapsed_s) > SPEED_SILENT_S
        if abs(moved_mm) > stretch.longest_mm(self._max_mm_s) or (silent and not stretch.allows(moved_mm)):
            self._last = None
            if (times := self._jumps.due()) is not None:
                log.warning(
                    "the encoder count jumped: frames are placed by time until the strip process has followed it",
                    before=anchor.counted, now=count, count=times,
                )  # fmt: skip
            return None
        position_mm = anchor.position_mm + moved_mm
        speed_mm_s = self._speed(monotonic_ns, position_mm, anchor)
        self._last = _Anchor(monotonic_ns, count, position_mm, speed_mm_s, anchor.zero)
        return Place(position_mm, speed_mm_s, anchor.zero)

    def _anchor(self, monotonic_ns: int, newest: Sample | None, count: float) -> _Anchor | None:
        """The strip's newest sample; without a fresh one, the previous frame."""
        if newest is not None and not newest.sure:
            return None
        if newest is None or math.isnan(count):
            return self._last
        if self._last is not None and monotonic_ns - newest.monotonic_ns > STALE_NS:
            return self._last
        return _Anchor(newest.monotonic_ns, count, newest.position_mm, newest.speed_mm_s, newest.zero)

    def _speed(self, monotonic_ns: int, position_mm: float, anchor: _Anchor) -> float:
        """The strip process's speed, which is fitted over several readings; without it, that of the frames."""
        if anchor is not self._last or self._before is None:
            self._before = (monotonic_ns, position_mm)
            return anchor.speed_mm_s
        before_ns, before_mm = self._before
        if monotonic_ns - before_ns < SPEED_NS:
            return anchor.speed_mm_s
        self._before = (monotonic_ns, position_mm)
        return (position_mm - before_mm) / ((monotonic_ns - before_ns) / 1e9)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
