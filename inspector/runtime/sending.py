"""Sending without ever hanging: a full link is waited for, but not past a stop."""

from collections.abc import Callable, Sequence
from typing import Final

import zmq

from inspector.runtime.stop import StopRequest

_RETRY_MS: Final = 200
"""How often a send that waits looks whether a stop was asked for."""


def set_retry(socket: "zmq.Socket[bytes]") -> None:
    """Prepare a socket for `send`."""
    socket.sndtimeo = _RETRY_MS


def send(
    socket: "zmq.Socket[bytes]",
    parts: Sequence[bytes | memoryview],
    stop: StopRequest,
    *,
    copy: bool = True,
    on_wait: Callable[[], None] = lambda: None,
) -> bool:
    """Send a message, waiting for room; False when there is still none after a stop was asked for."""
    while True:
        stopping = bool(stop)
        try:
            socket.send_multipart(parts, copy=copy)
        except zmq.Again:
            if stopping:
                return False
            on_wait()
        else:
            return True
