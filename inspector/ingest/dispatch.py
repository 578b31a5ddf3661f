"""ingest's end of the frames link: tracks each worker's credit and the frames it holds."""

import errno
import time
from collections.abc import Sequence
from typing import Final

import structlog
import zmq

from inspector.core.slots import Slots
from inspector.core.tiling import Fit
from inspector.errors import WireError
from inspector.repeated import Repeated
from inspector.runtime.stop import StopRequest
from inspector.values import Frame
from inspector.wire.messages import (
    IN_MESSAGE,
    FrameHeader,
    Frames,
    Hello,
    Leaving,
    Parted,
    ToIngest,
    Welcome,
    decode_to_ingest,
    encode,
)
from inspector.wire.pixel_ring import PixelRing

_EXPIRE_TURN_MS: Final = 200
"""How often to reclaim slots of dead workers while there is no credit, ms."""

log = structlog.get_logger()


class ViewPace:
    """Selects frames for viewers, at most `frames_per_second`."""

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


class Dispatch:
    """Sends frames to workers within the credit that they granted."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        ring: PixelRing,
        deadline_ns: int,
        ingest_epoch: int,
        stop: StopRequest,
        view: ViewPace,
        fit: Fit,
    ) -> None:
        self._socket, self._ring, self._view, self._fit = socket, ring, view, fit
        self._deadline_ns, self._ingest_epoch = deadline_ns, ingest_epoch
        self._slots = Slots(ring.slots)
        self._room: dict[bytes, int] = {}
        """Worker → its credit: how many engine inputs it can still take. A frame of several inputs may overdraw
        it, because it may have more of them than the worker ever grants."""
        self.refused = 0
        self._refusals = Repeated()
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(stop.fileno(), zmq.POLLIN)
        self._stop = stop

    @property
    def credit(self) -> int:
        """Engine inputs that can be sent now: the total credit, limited by free slots."""
        return min(sum(room for room in self._room.values() if room > 0), self._slots.free)

    def inputs(self, frame: Frame) -> int:
        """Credit that a frame costs."""
        height, width = frame.pixels.shape
        return self._fit.inputs((height, width))

    def wait_for_credit(self, timeout_ms: float = float("inf")) -> int:
        """Wait until frames can be sent, a stop is requested or the time is up; return the credit."""
        until_s = time.monotonic() + timeout_ms / 1e3
        self._hear()
        while not self.credit and not self._stop:
            self._slots.expire(time.monotonic_ns())
            left_ms = (until_s - time.monotonic()) * 1e3
            if self.credit or left_ms <= 0:
                break
            self._poller.poll(int(min(left_ms + 1, _EXPIRE_TURN_MS)))
            self._hear()
        return self.credit

    def send(self, frames: Sequence[Frame]) -> int:
        """Send as many frames as the credit allows, oldest first; return how many were sent."""
        self._hear()
        self._slots.expire(time.monotonic_ns())
        sent = 0
        while sent < len(frames) and self.credit:
            worker = max(self._room, key=self._room.__getitem__)
            inputs = self._affordable(frames[sent:], worker)
            if self._send_to(worker, frames[sent : sent + len(inputs)], inputs):
                sent += len(inputs)
        return sent

    def _affordable(self, frames: Sequence[Frame], worker: bytes) -> list[int]:
        """The inputs of each of the first frames that a worker has credit for; the last one may overdraw it."""
        room, costs = self._room[worker], list[int]()
        for frame in frames[: self._slots.free]:
            if room <= 0:
                break
            costs.append(self.inputs(frame))
            room -= costs[-1]
        return costs

    def _send_to(self, worker: bytes, frames: Sequence[Frame], inputs: Sequence[int]) -> bool:
        headers: list[FrameHeader] = []
        planes: list[memoryview] = []
        for frame, cost in zip(frames, inputs, strict=True):
            pixels = frame.pixels
            lent_until_ns = frame.captured_monotonic_ns + self._deadline_ns
            slot = self._slots.take(frame.frame_id, lent_until_ns)
            if pixels.size <= self._ring.slot_bytes:
                self._ring.put(slot, pixels)
            else:
                slot = IN_MESSAGE
                planes.append(pixels.reshape(-1).data)
            headers.append(
                FrameHeader(
                    frame.frame_id,
                    frame.captured_ns,
                    frame.captured_monotonic_ns,
                    frame.position_mm,
                    pixels.shape[0],
                    pixels.shape[1],
                    slot,
                    self._view.wants_one(),
                    lent_until_ns,
                    cost,
                )
            )
        message = encode(Frames(frames[0].camera, self._ingest_epoch, headers))
        if not self._tell(worker, message, *planes):
            self._slots.release(frame.frame_id for frame in frames)
            return False
        self._room[worker] -= sum(inputs)
        return True

    def _tell(self, worker: bytes, message: bytes, *planes: memoryview) -> bool:
        try:
            self._socket.send_multipart([worker, message, *planes], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.EAGAIN):
                raise
            # The worker is dead, or hangs behind a full link: the frames it holds end at their deadlines.
            self._room.pop(worker, None)
            return False
        return True

    def _hear(self) -> None:
        """Handle all waiting messages from workers."""
        while True:
            try:
                worker, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = decode_to_ingest(parts)
            except WireError as error:
                self.refused += 1
                if self._refusals.due() is not None:
                    log.warning("message refused", error=str(error), refused=self.refused)
                continue
            self._answer(worker, message)

    def _answer(self, worker: bytes, message: ToIngest) -> None:
        if isinstance(message, Hello):
            if worker not in self._room:
                self._room[worker] = 0
                self._tell(
                    worker, encode(Welcome(self._ingest_epoch, str(self._ring.path), self._ring.slot_bytes))
                )
        elif isinstance(message, Leaving):
            self._room.pop(worker, None)
            self._tell(worker, encode(Parted()))
        elif message.ingest_epoch == self._ingest_epoch:
            self._slots.release(message.done)
            if worker in self._room:
                self._room[worker] += message.inputs
