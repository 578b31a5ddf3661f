"""The worker's end of one camera's frames link: grants credit and receives frames."""

from pathlib import Path

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from inspector.backends import Backend
from inspector.core.flow import window_frames
from inspector.errors import WireError
from inspector.values import Frame
from inspector.wire.links import connections
from inspector.wire.messages import (
    IN_MESSAGE,
    Credit,
    Frames,
    Hello,
    Leaving,
    Parted,
    ToIngest,
    Welcome,
    decode_to_worker,
    encode,
    frame_of,
    plane,
)
from inspector.wire.pixel_ring import PixelRing


def open_window(backend: Backend, batch: int, deadline_s: float, cameras: int = 1) -> tuple[int, int]:
    """`window_frames` of an engine whose speed is measured; the engine reports answers in such chunks."""
    window, chunk = window_frames(batch, backend.slots, backend.seconds_a_frame, deadline_s, cameras)
    backend.coalesce(chunk // batch, chunk * backend.seconds_a_frame)
    return window, chunk


class Lent(msgspec.Struct, frozen=True):
    """A frame whose pixels ingest lends to the worker."""

    frame: Frame
    view: bool
    """A viewer wants the frame: its maps and pixels are sent on even when it is clean."""
    until_ns: int
    """Monotonic clock: from then on ingest may reuse the slot for another frame."""
    inputs: int
    """Credit that ingest took for it."""


class FramesLink:
    """One camera's frames, as ingest sends them."""

    def __init__(self, camera: str, socket: "zmq.Socket[bytes]", window: int, chunk: int) -> None:
        self.camera = camera
        self.socket = socket
        self.connections = connections(socket)
        self.parted = False
        """Nothing comes any more."""
        self._window, self._chunk = window, chunk
        self._joined: int | None = None
        """Epoch of the ingest that has been granted credit; None before its Welcome."""
        self._rings: dict[int, PixelRing] = {}
        """By ingest epoch. The newest two, because frames of an ended ingest may still be queued."""
        self._done: list[int] = []
        self._done_inputs = 0
        self._leaving = False

    def connect(self) -> None:
        """Handle new connections: forget the frames that the previous ingest lent, and send Hello."""
        while self.connections.poll(0):
            recv_monitor_message(self.connections)
            self._joined, self._done, self._done_inputs = None, [], 0
            if self._leaving:
                self.parted = True
            else:
                self._say(Hello())

    def receive(self) -> "tuple[int, list[Lent]] | None":
        """(ingest epoch, frames) of one message, pixels not copied; None when no message waits.

        The frames are empty for other messages. Raises WireError for a message that must be refused.
        """
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        message = decode_to_worker(parts)
        if isinstance(message, Frames):
            return message.ingest_epoch, self._frames(message, parts[1:])
        if isinstance(message, Parted):
            self.parted = True
        elif self._joined is None and not self._leaving:
            self._join(message)
        return 0, []

    def _join(self, welcome: Welcome) -> None:
        ring = PixelRing.open(Path(welcome.ring), welcome.slot_bytes)
        before = list(self._rings.items())[-1:]
        self._rings = dict([*before, (welcome.ingest_epoch, ring)])
        self._joined = welcome.ingest_epoch
        self._say(Credit(welcome.ingest_epoch, self._window, []))

    def _frames(self, message: Frames, planes: list[bytes]) -> list[Lent]:
        ring = self._rings.get(message.ingest_epoch)
        if ring is None:
            raise WireError(f"camera {self.camera}: frames of an ingest that gave no welcome")
        inside = iter(planes)
        frames = []
        for header in message.frames:
            if header.slot == IN_MESSAGE:
                pixels = plane(next(inside), header.height, header.width)
            else:
                pixels = ring.view(header.slot, header.height, header.width)
            frame = frame_of(self.camera, header, pixels)
            frames.append(Lent(frame, header.view, header.lent_until_ns, header.inputs))
        return frames

    def release(self, frame_id: int, ingest_epoch: int, inputs: int = 1) -> None:
        """Return a frame's pixels and its credit to its ingest; sent once per chunk."""
        if ingest_epoch != self._joined:
            return
        self._done.append(frame_id)
        self._done_inputs += inputs
        if self._done_inputs >= self._chunk:
            self._say(Credit(ingest_epoch, 0 if self._leaving else self._done_inputs, self._done))
            self._done, self._done_inputs = [], 0

    def leave(self) -> None:
        """Ask for no more frames; `parted` turns true once ingest has answered."""
        self._leaving = True
        self._say(Leaving())

    def _say(self, message: ToIngest) -> None:
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            # No ingest is connected; the next one gets a Hello.
            return
