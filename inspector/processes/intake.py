"""The worker's end of a camera's frames link: says how much room there is, and takes what comes."""

from pathlib import Path
from typing import Final

import zmq

from inspector.errors import WireError
from inspector.values import Frame
from inspector.wire.messages import (
    IN_MESSAGE,
    Frames,
    Leaving,
    Parted,
    Room,
    Welcome,
    decode_to_worker,
    encode,
    frame_of,
    plane,
)
from inspector.wire.pixel_ring import PixelRing

LUMP_S: Final = 0.025
MOST_LUMP: Final = 8
"""Frames that a worker lets go before ingest hears of it, while as many more keep the engine busy: what the engine
does in that time, and beyond one batch no more than this. A message for each frame would cost more than the frame;
more frames would only wait longer."""


def window_frames(batch: int, slots: int, seconds_a_frame: float) -> tuple[int, int]:
    """(frames a worker holds at the most, frames it lets go at a time) for batches of at most `batch` frames,
    `slots` of them in the engine."""
    lump = max(batch, min(MOST_LUMP, int(LUMP_S / max(seconds_a_frame, 1e-9))))
    return batch * slots + 2 * lump, lump


class Intake:
    """One camera's frames, as ingest sends them."""

    def __init__(self, camera: str, socket: "zmq.Socket[bytes]", window: int, lump: int) -> None:
        self.camera = camera
        self.socket = socket
        self.ingest_ns = 0
        """The start of the ingest that sends now."""
        self.parted = False
        """Nothing comes any more."""
        self._window, self._lump = window, lump
        self._ring: PixelRing | None = None
        self._welcomes = 0
        self._done: list[int] = []
        self._leaving = False

    def receive(self) -> "list[tuple[Frame, bool]] | None":
        """The frames of one message, pixels not copied, and whether a viewer wants them; None when none came.

        Raises WireError for a message that must be refused.
        """
        try:
            parts = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        message = decode_to_worker(parts)
        if isinstance(message, Welcome):
            self._join(message)
            return []
        if isinstance(message, Parted):
            self.parted = True
            return []
        self.ingest_ns = message.ingest_ns
        return self._frames(message, parts[1:])

    def _join(self, welcome: Welcome) -> None:
        """A new connection: whatever an ingest before this one lent is its own affair no more."""
        self._ring = PixelRing.open(Path(welcome.ring), welcome.slot_bytes)
        self._welcomes += 1
        self._done = []
        if self._leaving:
            self.parted = True
        else:
            self._say(Room(self._window, []))

    def _frames(self, message: Frames, planes: list[bytes]) -> list[tuple[Frame, bool]]:
        frames = []
        for header in message.frames:
            if header.slot == IN_MESSAGE:
                pixels = plane(planes.pop(0), header.height, header.width)
            elif self._ring is None:
                raise WireError(f"camera {self.camera}: frames before a welcome")
            else:
                pixels = self._ring.view(header.slot, header.height, header.width)
            frames.append((frame_of(self.camera, header, pixels), header.view))
        return frames

    @property
    def session(self) -> int:
        """Which connection frames come over now; `release` wants to know it of each."""
        return self._welcomes

    def release(self, frame_id: int, session: int) -> None:
        """A frame's pixels are needed no more."""
        if session != self._welcomes:
            return
        self._done.append(frame_id)
        if len(self._done) >= self._lump:
            self._say(Room(0 if self._leaving else len(self._done), self._done))
            self._done = []

    def leave(self) -> None:
        """Ask for nothing more; `parted` once ingest has heard it."""
        self._leaving = True
        self._say(Leaving())

    def _say(self, message: Room | Leaving) -> None:
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            # No ingest there: a new one will ask how much room there is.
            return
