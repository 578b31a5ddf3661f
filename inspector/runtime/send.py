"""Sends messages: waits while a link is full, but not after a stop request."""

from collections.abc import Callable, Sequence
from typing import Final

import zmq

from inspector.runtime.stop import StopRequest

_RETRY_MS: Final = 200
"""How often a waiting send checks for a stop request, ms."""


def set_retry(socket: "zmq.Socket[bytes]") -> None:
    """Set the socket's send timeout for `send`."""
    socket.sndtimeo = _RETRY_MS


def send(
    socket: "zmq.Socket[bytes]",
    parts: Sequence[bytes | memoryview],
    stop: StopRequest,
    *,
    on_wait: Callable[[], None] = lambda: None,
) -> bool:
    """Send a message, waiting while the link is full; False when it is still full after a stop request."""
    while True:
        stopping = bool(stop)
        try:
            socket.send_multipart(parts)
        except zmq.Again:
            if stopping:
                return False
            on_wait()
        else:
            return True
