"""The thread that reads a camera and reconnects it, independently of the consumer's pace."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog

from inspector.repeated import Repeated
from inspector.sources.camera_connection import Connection, OpenCamera
from inspector.sources.camera_gaps import Backlog, Gaps
from inspector.sources.camera_rate import Rate
from inspector.values import Code, Pixels, Uninspected

_QUEUE_FRAMES: Final = 8
"""Frames that may wait between reader and ingest: a third of a second at 25 frames/s. Beyond that the oldest is
dropped."""

_NOT_TAKEN: Final = Uninspected(Code.SHED, "dropped: the line did not take it in time")

log = structlog.get_logger()


@dataclass(frozen=True)
class Shot:
    """A frame as received: uint8 [H, W], and its time in ns since 1970."""

    pixels: Pixels
    captured_ns: int


@dataclass(frozen=True)
class Lost:
    """Frames that did not arrive or could not be used."""

    count: int
    why: Uninspected
    captured_ns: int
    """When the loss was detected, ns since 1970."""


class CameraReader:
    """Reads a camera in a daemon thread. `take` returns every frame and every lost frame once."""

    def __init__(
        self,
        connection: Connection,
        *,
        frames_per_second: float,
        first_pause_s: float,
        longest_pause_s: float,
        triggered: bool = False,
    ) -> None:
        self._connection = connection
        self._stated_rate = frames_per_second
        self._triggered = triggered
        self._frame_time_s = 1.0 / frames_per_second
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._gaps = Gaps(frames_per_second, triggered=triggered)
        self._backlog = Backlog(frames_per_second)
        self._held: Shot | None = None
        """The first frame after a gap, held until it is known whether the gap has counted it."""
        self._rate = Rate(frames_per_second)
        self._wrong_rate = Repeated()
        self._news = threading.Condition()  # guards the gaps and the queue
        self._queue: deque[Shot | Lost] = deque()
        self._stop = threading.Event()
        self._tried = threading.Event()
        self._problem: str | None = "no answer in time"
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.size: tuple[int, int] | None = None
        """(height, width) as the camera reports it."""

    def start(self) -> None:
        """Open the camera in the thread, because a driver may block."""
        self._thread.start()

    def problem(self, wait_s: float) -> str | None:
        """Wait for the first attempt to open; returns why it failed, or None when the camera is open."""
        self._tried.wait(wait_s)
        return self._problem

    def stop(self, wait_s: float) -> None:
        """Stop the thread; a thread that a driver blocks longer than `wait_s` is left to end by itself."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    @property
    def measured_rate(self) -> float | None:
        """Measured frames per second; None until it is known."""
        return self._rate.measured

    @property
    def alive(self) -> bool:
        """Whether frames may still arrive."""
        return self._thread.is_alive()

    def take(self, wait_s: float) -> Shot | Lost | None:
        """Return the next frame or loss in order; None when neither arrives within `wait_s`."""
        with self._news:
            found = self._next()
            if found is None:
                self._news.wait(wait_s)
                found = self._next()
            return found

    def _next(self) -> Shot | Lost | None:
        now_s = time.monotonic()
        if self._held is not None and self._backlog.is_over(now_s):
            self._release()
        if self._queue:
            return self._queue.popleft()
        count, why = self._gaps.due(now_s)
        return Lost(count, _no_frame(why), time.time_ns()) if count else None

    def _run(self) -> None:
        opened = self._connection.open()
        if isinstance(opened, str):
            self._problem = opened
            self._tried.set()
            return
        self.size = opened.size
        with self._news:
            self._gaps.opened(time.monotonic())
        self._problem = None
        self._tried.set()
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            if not isinstance(opened, str):
                if self._read(opened):
                    pause_s = self._first_pause_s
                self._fail(opened.ended)
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, self._longest_pause_s)
            if self._stop.is_set():
                return
            opened = self._connection.open()
            if isinstance(opened, str):
                self._fail(f"cannot be opened again, {opened}")

    def _fail(self, why: str) -> None:
        with self._news:
            self._gaps.failed(why, time.monotonic())
            self._news.notify()

    def _read(self, camera: OpenCamera) -> bool:
        """Read until the connection ends; returns whether any frame arrived."""
        due_s = time.monotonic()
        any_frame = False
        try:
            while not self._stop.is_set():
                seen = camera.read()
                if seen is None:
                    return any_frame
                any_frame = True
                self._put(seen, time.time_ns())
                if camera.is_file:
                    due_s += self._frame_time_s
                    self._stop.wait(max(0.0, due_s - time.monotonic()))
            return any_frame
        finally:
            camera.release()

    def _put(self, seen: Pixels | Uninspected, captured_ns: int) -> None:
        now_s = time.monotonic()
        with self._news:
            missing, why = self._gaps.due(now_s)
            if missing:
                self._append(Lost(missing, _no_frame(why), captured_ns))
            if self._gaps.said:
                self._backlog.begin(self._gaps.said)
                self._rate.restart()
            self._gaps.frame(now_s)
            if isinstance(seen, Uninspected):
                if not self._backlog.lost():
                    self._append(Lost(1, seen, captured_ns))
            else:
                self._take(Shot(seen, captured_ns), now_s)
            if sum(isinstance(waiting, Shot) for waiting in self._queue) > _QUEUE_FRAMES:
                self._drop_oldest()
            self._news.notify()
        if self._rate.frame(now_s) and not self._triggered and (count := self._wrong_rate.due()) is not None:
            log.warning(
                "the camera's rate is not the stated one: strip positions are wrong",
                measured_per_s=round(self._rate.measured or 0.0, 1),
                stated_per_s=self._stated_rate,
                times=count,
            )

    def _take(self, shot: Shot, now_s: float) -> None:
        """Queue a frame, or hold it while a gap may have counted it."""
        if self._held is not None:
            if self._backlog.was_counted(now_s):
                self._held = None
            else:
                self._release()
        if self._backlog.expects:
            self._held = shot
            self._backlog.held(now_s)
        else:
            self._append(shot)

    def _release(self) -> None:
        if self._held is not None:
            self._append(self._held)
            self._held = None

    def _append(self, entry: Shot | Lost) -> None:
        last = self._queue[-1] if self._queue else None
        if isinstance(entry, Lost) and isinstance(last, Lost) and entry.why == last.why:
            self._queue[-1] = Lost(last.count + entry.count, entry.why, entry.captured_ns)
        else:
            self._queue.append(entry)

    def _drop_oldest(self) -> None:
        """Replace the oldest frame with a loss."""
        at = next(i for i, waiting in enumerate(self._queue) if isinstance(waiting, Shot))
        later = list(self._queue)[at + 1 :]
        lost = Lost(1, _NOT_TAKEN, self._queue[at].captured_ns)
        while len(self._queue) > at:
            self._queue.pop()
        for entry in (lost, *later):
            self._append(entry)


def _no_frame(why: str) -> Uninspected:
    return Uninspected(Code.NO_FRAME, f"gave no frame: {why}")
