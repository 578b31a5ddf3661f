"""The thread that reads a camera and reconnects it, independently of the consumer's pace."""

import threading
import time
from collections import deque
from enum import Enum
from typing import Final, Generic, Literal, Protocol, TypeVar

from inspector.sources.camera.losses import NOT_TAKEN, Losses, Lost, Shot

_QUEUE_FRAMES: Final = 8
"""Frames that may wait between reader and ingest: a third of a second at 25 frames/s. Beyond that the oldest is
dropped."""

Raw = TypeVar("Raw")
Raw_co = TypeVar("Raw_co", covariant=True)


class Quiet(Enum):
    """What `read` returns while an open camera gives nothing."""

    YET = "yet"


class OpenCamera(Protocol[Raw_co]):
    """A camera that returns frames until its connection ends."""

    size: tuple[int, int] | None
    """(height, width) as the camera reports it; None when it reports none."""
    ended: str
    """Why the connection ended, valid after `read` has returned None."""
    is_file: bool
    """Whether it is a file: it ends, has no clock, and plays at the camera's rate."""

    def read(self) -> Raw_co | Literal[Quiet.YET] | None:
        """Return the next frame or its fault, or `Quiet.YET` to be asked again; None when the connection ended."""
        ...

    def release(self) -> None:
        """Close the connection."""
        ...


class Connection(Protocol[Raw_co]):
    """How to open a camera, the first time and again."""

    def open(self) -> OpenCamera[Raw_co] | str:
        """Return an open camera, or why it cannot be opened."""
        ...


class CameraReader(Generic[Raw]):
    """Reads a camera in a daemon thread. `take` returns every frame and every lost frame once."""

    def __init__(
        self,
        connection: Connection[Raw],
        losses: Losses[Raw],
        *,
        frames_per_second: float,
        first_pause_s: float,
        longest_pause_s: float,
    ) -> None:
        self._connection, self._losses = connection, losses
        self._frame_time_s = 1.0 / frames_per_second
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._news = threading.Condition()  # guards the losses and the queue
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
        return self._losses.measured_rate

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
        for entry in self._losses.due(time.monotonic()):
            self._append(entry)
        return self._queue.popleft() if self._queue else None

    def _run(self) -> None:
        opened = self._connection.open()
        if isinstance(opened, str):
            self._problem = opened
            self._tried.set()
            return
        self.size = opened.size
        with self._news:
            self._losses.opened(time.monotonic(), opened.size)
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
            self._losses.failed(why, time.monotonic())
            self._news.notify()

    def _read(self, camera: OpenCamera[Raw]) -> bool:
        """Read until the connection ends; returns whether any frame arrived."""
        due_s = time.monotonic()
        any_frame = False
        try:
            while not self._stop.is_set():
                seen = camera.read()
                if seen is None:
                    return any_frame
                if seen is Quiet.YET:
                    continue
                any_frame = True
                self._put(seen, time.time_ns())
                if camera.is_file:
                    due_s += self._frame_time_s
                    self._stop.wait(max(0.0, due_s - time.monotonic()))
            return any_frame
        finally:
            camera.release()

    def _put(self, seen: Raw, arrived_ns: int) -> None:
        with self._news:
            for entry in self._losses.put(seen, time.monotonic(), arrived_ns):
                self._append(entry)
            room = _QUEUE_FRAMES * self._losses.pictures_per_frame
            while sum(isinstance(waiting, Shot) for waiting in self._queue) > room:
                self._drop_oldest()
            self._news.notify()

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
        lost = Lost(1, NOT_TAKEN, self._queue[at].captured_ns)
        while len(self._queue) > at:
            self._queue.pop()
        for entry in (lost, *later):
            self._append(entry)
