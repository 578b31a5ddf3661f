"""Reads the live view in a thread, for processes that do other work too."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
import zmq

from inspector.errors import WireError
from inspector.repeated import Repeated
from inspector.wire.links import MAX_MESSAGE_BYTES, RECONNECT_MS, open_context
from inspector.wire.view import ViewMessage, decode

QUEUED: Final = 200
"""Messages held for this process; decide drops more for a reader that is behind."""

TURN_MS: Final = 200
"""How often the reader checks for a new address or a stop, ms."""

log = structlog.get_logger()


class ViewReader:
    """Subscribes to a line's view in a thread and passes on what it publishes."""

    def __init__(self, take: Callable[[ViewMessage], None]) -> None:
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
