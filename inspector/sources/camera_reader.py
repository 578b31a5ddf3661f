"""The thread that reads an OpenCV camera, reconnects it, and never waits for whoever takes the frames."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike

from inspector.sources.camera_gaps import Gaps
from inspector.values import Pixels

_QUEUE_FRAMES: Final = 8
"""Frames that wait between reader and ingest: a third of a second at 25 frames/s; then the oldest goes."""

_NOT_TAKEN: Final = "dropped, the line did not take it in time"


@dataclass(frozen=True)
class Shot:
    """A frame as it came: uint8 [H, W], and its time in ns since 1970."""

    pixels: Pixels
    captured_ns: int


@dataclass(frozen=True)
class Lost:
    """Frames that should have come and did not, or could not be used."""

    count: int
    why: str
    captured_ns: int
    """When it was known."""


@dataclass(frozen=True)
class Connection:
    """What to open: a V4L2 number or path, an address, a file or a GStreamer pipeline."""

    device: str | int
    height: int | None
    width: int | None
    timeout_s: float
    """For opening and for one read, where the backend knows time-outs; V4L2 has its own of 10 s."""

    def open(self) -> cv2.VideoCapture | str:
        """An open camera, or why there is none."""
        backend = self._backend()
        name = cv2.videoio_registry.getBackendName(backend)
        if not cv2.videoio_registry.hasBackend(backend):
            return f"this OpenCV is built without {name}"
        timeout_ms = round(self.timeout_s * 1000)
        options: list[int] = []
        if backend in {cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER}:
            options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        try:
            if isinstance(self.device, int):  # the two spellings are two overloads
                camera = cv2.VideoCapture(self.device, backend, options)
            else:
                camera = cv2.VideoCapture(self.device, backend, options)
        except cv2.error as error:
            return f"{name}: {error.err}"
        if not camera.isOpened():
            camera.release()
            return f"{name} finds no camera there, or somebody else uses it"
        if self.height is not None and self.width is not None:
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, self.height)
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, self.width)
        return camera

    def _backend(self) -> int:
        if isinstance(self.device, int) or self.device.startswith("/dev/video"):
            return cv2.CAP_V4L2
        return cv2.CAP_GSTREAMER if " ! " in self.device else cv2.CAP_FFMPEG


class CameraReader:
    """Reads in a daemon thread. Every frame, and every frame that was lost, is taken once with `take`."""

    def __init__(
        self, connection: Connection, *, frames_per_second: float, first_pause_s: float, longest_pause_s: float
    ) -> None:
        self._connection = connection
        self._frame_time_s = 1.0 / frames_per_second
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._gaps = Gaps(frames_per_second)
        self._news = threading.Condition()  # guards the gaps and the queue
        self._queue: deque[Shot | Lost] = deque()
        self._stop = threading.Event()
        self._tried = threading.Event()
        self._problem: str | None = "no answer in time"
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.size: tuple[int, int] | None = None
        """(height, width) as the camera states it."""

    def start(self) -> None:
        """Open the camera, in the thread: a driver may block."""
        self._thread.start()

    def problem(self, wait_s: float) -> str | None:
        """Why the camera could not be opened, None when it is open; waits for the first attempt."""
        self._tried.wait(wait_s)
        return self._problem

    def stop(self, wait_s: float) -> None:
        """End the thread; one that a driver holds longer than `wait_s` is left to end by itself."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    @property
    def alive(self) -> bool:
        """Whether frames may still come."""
        return self._thread.is_alive()

    def take(self, wait_s: float) -> Shot | Lost | None:
        """The next frame, or lost ones, in order; None when there is neither within `wait_s`."""
        with self._news:
            found = self._next()
            if found is None:
                self._news.wait(wait_s)
                found = self._next()
            return found

    def _next(self) -> Shot | Lost | None:
        if self._queue:
            return self._queue.popleft()
        count, why = self._gaps.due(time.monotonic())
        return Lost(count, why, time.time_ns()) if count else None

    def _run(self) -> None:
        opened = self._connection.open()
        if isinstance(opened, str):
            self._problem = opened
            self._tried.set()
            return
        height, width = (int(opened.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size = (height, width) if height > 0 and width > 0 else None
        with self._news:
            self._gaps.opened(time.monotonic())
        self._problem = None
        self._tried.set()
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            if not isinstance(opened, str):
                if self._read(opened):
                    pause_s = self._first_pause_s
                self._fail("the connection ended")
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, self._longest_pause_s)
            if self._stop.is_set():
                return
            opened = self._connection.open()
            if isinstance(opened, str):
                self._fail(f"cannot be opened again, {opened}")

    def _fail(self, why: str) -> None:
        with self._news:
            self._gaps.failed(why)
            self._news.notify()

    def _read(self, camera: cv2.VideoCapture) -> bool:
        """Read up to the end of the connection; says whether any frame came."""
        # A file has an end and no clock of its own: it is played at the camera's rate.
        is_file = camera.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        due_s = time.monotonic()
        any_frame = False
        try:
            while not self._stop.is_set():
                try:
                    good, image = camera.read()
                except cv2.error:
                    return any_frame
                if not good:
                    return any_frame
                any_frame = True
                self._put(image, time.time_ns())
                if is_file:
                    due_s += self._frame_time_s
                    self._stop.wait(max(0.0, due_s - time.monotonic()))
            return any_frame
        finally:
            camera.release()

    def _put(self, image: MatLike, captured_ns: int) -> None:
        entry = _mono(image, captured_ns)
        with self._news:
            missing, why = self._gaps.frame(time.monotonic())
            if missing:
                self._append(Lost(missing, why, captured_ns))
            self._append(entry)
            if sum(isinstance(waiting, Shot) for waiting in self._queue) > _QUEUE_FRAMES:
                self._drop_oldest()
            self._news.notify()

    def _append(self, entry: Shot | Lost) -> None:
        last = self._queue[-1] if self._queue else None
        if isinstance(entry, Lost) and isinstance(last, Lost) and entry.why == last.why:
            self._queue[-1] = Lost(last.count + entry.count, entry.why, entry.captured_ns)
        else:
            self._queue.append(entry)

    def _drop_oldest(self) -> None:
        """Turn the oldest frame into a loss in its place."""
        at = next(i for i, waiting in enumerate(self._queue) if isinstance(waiting, Shot))
        later = list(self._queue)[at + 1 :]
        lost = Lost(1, _NOT_TAKEN, self._queue[at].captured_ns)
        while len(self._queue) > at:
            self._queue.pop()
        for entry in (lost, *later):
            self._append(entry)


def _mono(image: MatLike, captured_ns: int) -> Shot | Lost:
    """One plane of 8 bits; colour becomes ITU-R BT.601 luma, as OpenCV defines it."""
    if image.dtype != np.uint8:
        return Lost(1, f"it has {image.dtype} samples; set the camera to 8 bits", captured_ns)
    if image.ndim == 3 and image.shape[2] in {3, 4}:
        code = cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 or image.size == 0:
        return Lost(1, f"it has the shape {image.shape}; set the camera to grey or BGR", captured_ns)
    return Shot(np.ascontiguousarray(image, dtype=np.uint8), captured_ns)
