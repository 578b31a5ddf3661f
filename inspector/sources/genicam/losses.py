"""Accounts for the frames of a GenICam camera: its frame ids tell how many are missing."""

import math
import time
from dataclasses import dataclass
from typing import Final

import structlog

from inspector.repeated import Repeated
from inspector.sources.camera.gaps import Gaps
from inspector.sources.camera.losses import Lost, RateWatch, Shot, no_frame
from inspector.values import Pixels, Uninspected

_IDS_16_BIT: Final = 65_535
"""Frame ids of GigE Vision 1: 1 to 65535, then 1 again."""

_STALL_FRAMES: Final = 3
_STALL_S: Final = 1.0
"""A longer time between two frames of a free-running camera means that it paused. It numbers only the frames that
it captured, so its clock tells how many the pause has cost."""

_BACK: Final = (2.0, 64)
_FORTH: Final = (16.0, 4096)
"""Largest likely step: a multiple of the frames expected in the time passed, plus a constant. A lower id is a
16-bit counter that wrapped, if that leaves few frames missing; a higher id is hardly ever a restarted counter."""

_CLOCK_SET_S: Final = 2.0
"""Difference between two clocks from which one of them was set, seconds; a busy PC causes less."""

_NOTICE_S: Final = 6.0
"""Longest time after which Aravis notices that a camera is gone, seconds: one heartbeat and its retries."""

_SKIPPED: Final = no_frame("lost on the way, the camera's frame ids skip it")

log = structlog.get_logger()


@dataclass(frozen=True)
class Grab:
    """One buffer from a camera: a picture, or the reason why it has none."""

    pixels: Pixels | None
    fault: Uninspected | None
    frame_id: int | None
    """The camera's number; None when the packet that carries it was lost."""
    camera_ns: int | None
    """The camera's own clock, ns."""
    captured_ns: int
    """The same instant on this PC's clock, ns since 1970."""
    encoder_count: int | None = None


class FrameIdLosses:
    """The losses of a camera with frame ids. `frame_rows` is the height of the frames that its pictures form.

    A missing frame id is a lost frame at its place on the strip. While the camera is silent, frames are reported
    lost at the stated rate, so that the gate hears of them in time. If those frames then arrive late, their ids
    show that they were already reported, and they are dropped. So losses never shift the strip position.
    """

    def __init__(
        self, frames_per_second: float, *, triggered: bool = False, frame_rows: int | None = None
    ) -> None:
        self._stated, self._triggered, self._frame_rows = frames_per_second, triggered, frame_rows
        self._per_second = frames_per_second
        self.pictures_per_frame = 1
        self._gaps: Gaps | None = None
        self._rate = RateWatch(frames_per_second, triggered=triggered)
        self._ahead = 0
        """Frames reported lost whose ids have not passed yet."""
        self._left_over = 0
        """The part of `_ahead` that was reported before the last buffer, from which a new silence counts."""
        self._has_failed = False
        self._last: Grab | None = None
        """The last buffer with an id."""
        self._last_s = 0.0
        self._late = Repeated()
        self._restarts = Repeated()

    def opened(self, now_s: float, size: tuple[int, int] | None) -> None:
        """Note that the camera is open, and how many of its pictures make a frame."""
        if self._frame_rows is not None and size is not None:
            self._per_second = self._stated * self._frame_rows / size[0]
            self.pictures_per_frame = math.ceil(self._frame_rows / size[0])
        self._gaps = Gaps(self._per_second, triggered=self._triggered)
        self._rate = RateWatch(self._per_second, triggered=self._triggered)
        self._gaps.opened(now_s)

    def failed(self, why: str, now_s: float) -> None:
        """Note that the connection is lost.

        A triggered camera that was sending frames has been gone since its last frame. Otherwise the strip stood
        still until now.
        """
        if self._gaps is not None:
            moved = self._triggered and now_s - self._last_s <= _NOTICE_S
            self._gaps.failed(why, self._last_s if moved else now_s)
            self._has_failed = True

    @property
    def measured_rate(self) -> float | None:
        """Measured pictures per second; None until it is known."""
        return self._rate.measured

    def due(self, now_s: float) -> list[Shot | Lost]:
        """Return the losses of a silent camera."""
        if self._gaps is None:
            return []
        count, why = self._gaps.due(now_s)
        known = min(self._left_over, count)
        self._left_over -= known
        if count == known:
            return []
        self._ahead += count - known
        return [Lost(count - known, no_frame(why), time.time_ns())]

    def put(self, seen: Grab, now_s: float, arrived_ns: int) -> list[Shot | Lost]:  # noqa: ARG002  # has its own time
        """Note a buffer."""
        if self._gaps is None:
            raise RuntimeError("a frame before the camera was opened")
        known: list[Shot | Lost] = []
        if self._gaps.said:
            self._rate.restart()
        if self._has_failed and self._triggered:
            known += self.due(now_s)
        self._gaps.frame(now_s)
        self._rate.frame(now_s)
        if seen.frame_id is None:
            # The next id shows its place among the missing frames.
            if not self._ahead:
                self._ahead = 1
                known.append(_lost(seen))
        else:
            known += self._numbered(seen, now_s)
        self._last_s, self._left_over = now_s, self._ahead
        return known

    def _numbered(self, seen: Grab, now_s: float) -> list[Shot | Lost]:
        step = self._step_back(seen, now_s) if self._has_failed else self._step(seen, now_s)
        self._last, self._has_failed = seen, False
        if step <= self._ahead:
            self._ahead -= step
            if (count := self._late.due()) is not None:
                log.warning("a frame arrives after it was reported lost", frame_id=seen.frame_id, times=count)
            return []
        missing = step - 1 - self._ahead
        self._ahead = 0
        skipped: list[Shot | Lost] = [Lost(missing, _SKIPPED, seen.captured_ns)] if missing else []
        return [*skipped, _lost(seen) if seen.pixels is None else _shot(seen, seen.pixels)]

    def _step_back(self, seen: Grab, now_s: float) -> int:
        """Return the number of frames from the last one to the first one after a reconnect, whose ids restart.

        It follows from the capture times, so a delay of this thread does not matter.
        """
        last = self._last
        if last is None or self._triggered:
            return 1 + self._ahead
        passed_s = now_s - self._last_s
        captured_s = (seen.captured_ns - last.captured_ns) / 1e9
        # The PC's clock may have been set meanwhile.
        if abs(captured_s - passed_s) < _CLOCK_SET_S:
            passed_s = captured_s
        return max(1, round(passed_s * self._per_second))

    def _step(self, seen: Grab, now_s: float) -> int:
        """Return the number of frames from the last one to this one; 1 when none is missing."""
        last = self._last
        if last is None or last.frame_id is None or seen.frame_id is None:
            return 1 + self._ahead
        passed_s = now_s - self._last_s
        if seen.camera_ns is not None and last.camera_ns is not None and seen.camera_ns > last.camera_ns:
            passed_s = (seen.camera_ns - last.camera_ns) / 1e9
        by_time = max(1, round(passed_s * self._per_second))
        step = _distance(last.frame_id, seen.frame_id)
        factor, more = _FORTH if seen.frame_id > last.frame_id else _BACK
        if step is None or step > factor * by_time + more:
            if (count := self._restarts.due()) is not None:
                log.warning(
                    "the camera's frame ids were restarted", before=last.frame_id, now=seen.frame_id, times=count
                )
            return 1 if self._triggered else by_time
        if not self._triggered and passed_s > max(_STALL_S, _STALL_FRAMES / self._per_second):
            return max(step, by_time)
        return step


def _distance(last: int, now: int) -> int | None:
    """Return the steps from one frame id to a later one; None when the counter restarted."""
    if now > last:
        return now - last
    if last <= _IDS_16_BIT:
        # A camera that also uses id 0 would make a step of 0 here.
        return max(1, (now - last) % _IDS_16_BIT)
    return None


def _lost(seen: Grab) -> Lost:
    return Lost(1, seen.fault or _SKIPPED, seen.captured_ns)


def _shot(seen: Grab, pixels: Pixels) -> Shot:
    return Shot(pixels, seen.captured_ns, seen.encoder_count)
