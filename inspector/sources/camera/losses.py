"""Accounts for the frames of a camera that gives no frame numbers: a clock tells how many are missing."""

import time
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from inspector.repeated import Repeated
from inspector.sources.camera.gaps import Backlog, Gaps
from inspector.sources.camera.rate import Rate
from inspector.values import Code, Pixels, Uninspected

log = structlog.get_logger()

Seen_contra = TypeVar("Seen_contra", contravariant=True)


@dataclass(frozen=True)
class Shot:
    """A frame as received: uint8 [H, W], and its time in ns since 1970."""

    pixels: Pixels
    captured_ns: int
    encoder_count: int | None = None
    """The encoder's count as the camera sent it with the frame."""


@dataclass(frozen=True)
class Lost:
    """Frames that did not arrive or could not be used."""

    count: int
    why: Uninspected
    captured_ns: int
    """When the loss was detected, ns since 1970."""


class Losses(Protocol[Seen_contra]):
    """Turns what a camera delivers into frames and losses, so that every frame of the strip appears once.

    All times are seconds of one monotonic clock, except capture times. No method blocks.
    """

    def opened(self, now_s: float, size: tuple[int, int] | None) -> None:
        """Note that the camera is open; `size` is the (height, width) that it reports."""
        ...

    def failed(self, why: str, now_s: float) -> None:
        """Note that the connection is lost or could not be reopened."""
        ...

    def put(self, seen: Seen_contra, now_s: float, arrived_ns: int) -> list[Shot | Lost]:
        """Note what the camera has just delivered; returns the frames and losses that are known now, in order.

        `arrived_ns` is now, in ns since 1970.
        """
        ...

    def due(self, now_s: float) -> list[Shot | Lost]:
        """Return the frames and losses that have become known without a new frame."""
        ...

    @property
    def measured_rate(self) -> float | None:
        """Measured frames per second; None until it is known."""
        ...

    @property
    def pictures_per_frame(self) -> int:
        """Pictures per frame, rounded up; known once the camera is open."""
        ...


class ClockLosses:
    """The losses of a camera without frame numbers: the stated rate tells how many frames a gap has cost."""

    pictures_per_frame = 1

    def __init__(self, frames_per_second: float, *, triggered: bool = False) -> None:
        self._gaps = Gaps(frames_per_second, triggered=triggered)
        self._backlog = Backlog(frames_per_second)
        self._held: Shot | None = None
        """The first frame after a gap, held until it is known whether the gap has counted it."""
        self._rate = RateWatch(frames_per_second, triggered=triggered)

    def opened(self, now_s: float, size: tuple[int, int] | None) -> None:  # noqa: ARG002  # a clock needs no size
        """Note that the camera is open."""
        self._gaps.opened(now_s)

    def failed(self, why: str, now_s: float) -> None:
        """Note that the connection is lost; a gap lasts until the next frame."""
        self._gaps.failed(why, now_s)

    @property
    def measured_rate(self) -> float | None:
        """Measured frames per second; None until it is known."""
        return self._rate.measured

    def put(self, seen: Pixels | Uninspected, now_s: float, arrived_ns: int) -> list[Shot | Lost]:
        """Note a frame or a fault."""
        missing, why = self._gaps.due(now_s)
        known: list[Shot | Lost] = [Lost(missing, no_frame(why), arrived_ns)] if missing else []
        if self._gaps.said:
            self._backlog.begin(self._gaps.said)
            self._rate.restart()
        self._gaps.frame(now_s)
        if isinstance(seen, Uninspected):
            if not self._backlog.lost():
                known.append(Lost(1, seen, arrived_ns))
        else:
            known += self._take(Shot(seen, arrived_ns), now_s)
        self._rate.frame(now_s)
        return known

    def due(self, now_s: float) -> list[Shot | Lost]:
        """Return the held frame once it is known to be current, and the losses of a silent camera."""
        known: list[Shot | Lost] = []
        if self._held is not None and self._backlog.is_over(now_s):
            known += self._release()
        count, why = self._gaps.due(now_s)
        if count:
            known.append(Lost(count, no_frame(why), time.time_ns()))
        return known

    def _take(self, shot: Shot, now_s: float) -> list[Shot]:
        """Pass a frame on, or hold it while a gap may have counted it."""
        released: list[Shot] = []
        if self._held is not None:
            if self._backlog.was_counted(now_s):
                self._held = None
            else:
                released = self._release()
        if self._backlog.expects:
            self._held = shot
            self._backlog.held(now_s)
            return released
        return [*released, shot]

    def _release(self) -> list[Shot]:
        held, self._held = self._held, None
        return [] if held is None else [held]


class RateWatch:
    """Measures a camera's rate, and logs one that differs from the stated rate."""

    def __init__(self, stated: float, *, triggered: bool) -> None:
        self._stated, self._triggered = stated, triggered
        self._rate = Rate(stated)
        self._wrong = Repeated()

    @property
    def measured(self) -> float | None:
        """Measured frames per second; None until it is known."""
        return self._rate.measured

    def restart(self) -> None:
        """Discard the current measurement after a gap."""
        self._rate.restart()

    def frame(self, now_s: float) -> None:
        """Count a frame."""
        if self._rate.frame(now_s) and not self._triggered and (count := self._wrong.due()) is not None:
            log.warning(
                "the camera's rate is not the stated one: strip positions are wrong",
                measured_per_s=round(self._rate.measured or 0.0, 1),
                stated_per_s=self._stated,
                times=count,
            )


def no_frame(why: str) -> Uninspected:
    """The fault of a frame that did not arrive."""
    return Uninspected(Code.NO_FRAME, f"gave no frame: {why}")


NOT_TAKEN: Final = Uninspected(Code.SHED, "dropped: the line did not take it in time")
