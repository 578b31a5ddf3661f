"""ingest: takes frames from one source, announces each to `decide`, then sends its pixels to the worker."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import structlog
import zmq

from inspector.config import LoadedConfig
from inspector.errors import ConfigError, WorkError
from inspector.processes.notify import CAPTURED, READY, Notifier
from inspector.processes.sending import send, set_retry
from inspector.processes.stop import StopRequest
from inspector.recipe import load_recipe
from inspector.sources import WhenBehind, open_source
from inspector.values import Announcement, Capture, Frame
from inspector.wire.links import FRAMES, NEWS, open_context, open_sender
from inspector.wire.messages import Begin, End, Fault, FrameHeader, Idle, encode

FRAMES_LINGER_MS: Final = 500
"""At the end, frames still held for a worker that is gone are given up after this; `decide` has their ids."""

NEWS_LINGER_MS: Final = 10_000
"""Announcements are worth waiting for: `decide` may be starting again."""

FIND_WORKER_MS: Final = 1000

SHED_QUEUE_FRAMES: Final = 8
"""Frames of a camera that may wait for the worker before the oldest is shed."""

SHED_REASON: Final = "shed: the worker is behind"
STOPPED_REASON: Final = "stopped before the frame was inspected"

log = structlog.get_logger()

Socket = zmq.Socket[bytes]


class Announcer:
    """Counts a camera's captures and tells `decide` of each before anything else happens to it."""

    def __init__(
        self, camera: str, news: Socket, stop: StopRequest, mm_per_px_along: float, coil: str | None
    ) -> None:
        self._camera = camera
        self._news = news
        self._stop = stop
        self._mm_per_px = mm_per_px_along
        self._coil = coil
        self._next_mm = 0.0
        self._height = 0
        self.captured = 0

    def begin(self, total: int | None) -> None:
        """Frame ids start from 0."""
        self._tell(Begin(self._camera, total))

    def announce(self, capture: Capture) -> Frame | None:
        """Give the capture its id and place; the frame is None where the capture is a fault."""
        frame_id, self.captured = self.captured, self.captured + 1
        clock_ns = time.monotonic_ns()
        captured_ns = time.time_ns() if capture.captured_ns is None else capture.captured_ns
        position_mm = self._next_mm if capture.position_mm is None else capture.position_mm
        if capture.pixels is not None:
            self._height = capture.pixels.shape[0]
        self._next_mm = position_mm + self._height * self._mm_per_px
        self._tell(
            Announcement(
                self._camera,
                frame_id,
                captured_ns,
                clock_ns,
                position_mm,
                self._height,
                self._coil if capture.coil is None else capture.coil,
                capture.fault,
                capture.file,
            )
        )
        if capture.pixels is None:
            log.warning("frame cannot be read", frame=frame_id, fault=capture.fault)
            return None
        return Frame(self._camera, frame_id, captured_ns, clock_ns, position_mm, capture.pixels)

    def give_up(self, frame: Frame, reason: str) -> None:
        """An announced frame will not reach the worker."""
        self._tell(Fault(self._camera, frame.frame_id, reason))

    def idle(self) -> None:
        """The source is alive and has no frame; said only where there is room, it will be said again soon."""
        with contextlib.suppress(zmq.Again):
            self._news.send(encode(Idle(self._camera)), zmq.NOBLOCK)

    def end(self) -> None:
        """No more captures."""
        self._tell(End(self._camera, self.captured))

    def _tell(self, message: Begin | Announcement | Fault | End) -> None:
        if not send(self._news, [encode(message)], self._stop):
            raise WorkError(
                f"camera {self._camera}: decide does not take announcements: "
                f"{self.captured} frames were captured, see its log"
            )


class ViewPace:
    """Picks the frames a viewer gets: at most so many a second."""

    def __init__(self, frames_per_second: float) -> None:
        self._interval_s = 1 / frames_per_second if frames_per_second else float("inf")
        self._next_s = 0.0 if frames_per_second else float("inf")

    def wants_one(self) -> bool:
        """Whether the viewer's next frame is due."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True


def main(config: LoadedConfig, camera: str) -> None:
    """Run until the source ends or a stop is asked for. Raises InputError before the first frame."""
    line = config.line
    if camera not in line.cameras:
        raise ConfigError(f"{config.path}: cameras: no camera {camera}; there is {', '.join(line.cameras)}")
    structlog.contextvars.bind_contextvars(camera=camera)
    recipe = load_recipe(line.recipe).recipe
    notifier = Notifier()
    with StopRequest() as stop, open_source(line.cameras[camera]) as source, open_context() as context:
        frames = open_sender(context, FRAMES, line.links, camera, linger_ms=FRAMES_LINGER_MS)
        news = open_sender(context, NEWS, line.links, linger_ms=NEWS_LINGER_MS)
        set_retry(news)
        announcer = Announcer(camera, news, stop, recipe.mm_per_px_along, line.coil)
        announcer.begin(source.total())
        notifier.tell(**{READY: "1"})
        log.info("ingest started", source=line.cameras[camera].type)
        sender = FrameSender(frames, announcer, stop, ViewPace(line.view.frames_per_second))
        if source.when_behind is WhenBehind.WAIT:
            _feed_waiting(source.captures(), sender, stop)
        else:
            _feed_shedding(source.captures(), sender, stop)
        announcer.end()
        notifier.tell(**{CAPTURED: str(announcer.captured)})
        log.info("ingest ended", captured=announcer.captured)


class FrameSender:
    """Sends pixels to the worker without copying them."""

    def __init__(self, frames: Socket, announcer: Announcer, stop: StopRequest, view: ViewPace) -> None:
        self.announcer = announcer
        self._frames = frames
        self._view = view
        self._poller = zmq.Poller()
        self._poller.register(frames, zmq.POLLOUT)
        self._poller.register(stop.fileno(), zmq.POLLIN)

    def wait_for_room(self, timeout_ms: int | None = None) -> None:
        """Return when the worker can take a frame, a stop was asked for, or the time is up."""
        self._poller.poll(timeout_ms)

    def send(self, frame: Frame) -> bool:
        """Hand one frame to the link; False while the worker is behind."""
        header = FrameHeader(
            frame.camera,
            frame.frame_id,
            frame.captured_ns,
            frame.clock_ns,
            frame.position_mm,
            height=frame.pixels.shape[0],
            width=frame.pixels.shape[1],
            view=self._view.wants_one(),
        )
        try:
            self._frames.send(encode(header), zmq.NOBLOCK | zmq.SNDMORE)
        except zmq.Again:
            return False
        self._frames.send(frame.pixels.data, copy=False)
        return True


def _feed_waiting(captures: Iterator[Capture | None], sender: FrameSender, stop: StopRequest) -> None:
    """A recording has time: a frame is read when the worker has room for it, and so none is ever shed."""
    while True:
        sender.wait_for_room()
        if stop:
            return
        try:
            capture = next(captures)
        except StopIteration:
            return
        if capture is None:
            sender.announcer.idle()
            continue
        frame = sender.announcer.announce(capture)
        if frame is not None and not sender.send(frame):
            # Room was there a moment ago, so the worker has just gone.
            sender.announcer.give_up(frame, SHED_REASON)


def _feed_shedding(captures: Iterator[Capture | None], sender: FrameSender, stop: StopRequest) -> None:
    """A strip does not stop for us: frames wait a little, then the oldest is given up."""
    waiting: deque[Frame] = deque()
    shed = 0
    # A worker that is there needs a moment to find the link; without one, the strip moves on all the same.
    sender.wait_for_room(FIND_WORKER_MS)
    for capture in captures:
        if stop:
            break
        if capture is None:
            sender.announcer.idle()
        frame = sender.announcer.announce(capture) if capture is not None else None
        if frame is not None:
            waiting.append(frame)
        while waiting and sender.send(waiting[0]):
            waiting.popleft()
        while len(waiting) > SHED_QUEUE_FRAMES:
            sender.announcer.give_up(waiting.popleft(), SHED_REASON)
            shed += 1
            if shed.bit_count() == 1:
                # At 1, 2, 4, 8, …: a line that sheds for hours must not fill the log.
                log.warning("frames shed: the worker is behind", shed=shed)
    for frame in waiting:
        if not stop:
            sender.wait_for_room()
        if not sender.send(frame):
            sender.announcer.give_up(frame, STOPPED_REASON)
