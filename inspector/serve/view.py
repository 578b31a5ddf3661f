"""Reads the live view: verdicts, and the frames that decide publishes with them."""

import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
import structlog
import zmq

from inspector.errors import WireError
from inspector.repeated import Repeated
from inspector.values import MAX_SCORE, Pixels, Verdict
from inspector.wire.links import MAX_MESSAGE_BYTES, RECONNECT_MS, open_context

QUEUED: Final = 200
"""Messages held for this process; decide drops more for a reader that is behind."""

TURN_MS: Final = 200
"""How often the reader checks for a new address or a stop, ms."""

log = structlog.get_logger()


class Seen(msgspec.Struct, frozen=True):
    """One message of the live view."""

    verdict: Verdict
    pixels: Pixels | None = None
    """uint8 [H, W]; None for a verdict without a picture."""
    mask: Pixels | None = None
    """uint8 [H, W]: 0 normal, 1..K the kind."""
    peaks: tuple[int, ...] = ()
    """The highest score of each kind in the frame, 0 to 255, whatever its threshold; empty without a picture."""
    score: Pixels | None = None
    """The engine's score map, uint8 [H/m, W/m]."""


_VERDICT: Final = msgspec.json.Decoder(Verdict)
_SHAPE: Final = msgspec.json.Decoder(tuple[int, int])
_PEAKS: Final = msgspec.json.Decoder(tuple[Annotated[int, msgspec.Meta(ge=0, le=MAX_SCORE)], ...])


_PARTS: Final = (2, 6, 8)
"""Numbers of parts: without a picture, with one, and with its score map."""


def _score_map(parts: Sequence[bytes]) -> Pixels | None:
    if not parts:
        return None
    height, width = _SHAPE.decode(parts[0])
    if height < 1 or width < 1 or len(parts[1]) != height * width:
        raise WireError(f"the score map is not {height}×{width}")
    return np.frombuffer(parts[1], np.uint8).reshape(height, width)


def decode(parts: Sequence[bytes]) -> Seen:
    """Decode a message of the live view; the planes share its memory. Raises WireError."""
    try:
        if len(parts) not in _PARTS:
            raise WireError(f"{len(parts)} parts")
        verdict = _VERDICT.decode(parts[1])
        if len(parts) == 2:
            return Seen(verdict)
        height, width = _SHAPE.decode(parts[2])
        if height < 1 or width < 1 or any(len(plane) != height * width for plane in parts[3:5]):
            raise WireError(f"planes are not {height}×{width}")
        peaks = _PEAKS.decode(parts[5])
        pixels, mask = (np.frombuffer(plane, np.uint8).reshape(height, width) for plane in parts[3:5])
        score = _score_map(parts[6:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise WireError(str(error)) from None
    return Seen(verdict, pixels, mask, peaks, score)


class ViewReader:
    """Subscribes to a line's view in a thread and passes on what it publishes."""

    def __init__(self, take: Callable[[Seen], None]) -> None:
        self._take = take
        self._wanted = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self.refused = 0
        """Messages that did not decode."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def connect(self, address: str) -> None:
        """Read from this address from now on; a restarted line may publish elsewhere."""
        self._wanted = address

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        refusals = Repeated()
        with open_context() as context:
            socket = context.socket(zmq.SUB)
            socket.linger = 0
            socket.rcvhwm = QUEUED
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
            socket.subscribe(b"")
            connected = ""
            while not self._stopped.is_set():
                wanted = self._wanted
                if wanted != connected:
                    if connected:
                        socket.disconnect(connected)
                    socket.connect(wanted)
                    connected = wanted
                if not socket.poll(TURN_MS):
                    continue
                try:
                    self._take(decode(socket.recv_multipart(zmq.NOBLOCK)))
                except zmq.Again:
                    continue
                except WireError as error:
                    self.refused += 1
                    if refusals.due() is not None:
                        log.warning("view message refused", error=str(error), refused=self.refused)
