"""systemd's notification protocol, spoken by every stage and understood by `inspector run` (see sd_notify(3))."""

import os
import socket
from pathlib import Path
from typing import Final

READY: Final = "READY"
PROGRESS: Final = "X_INSPECTOR_PROGRESS"
"""Verdicts given, and frames expected where that is known: "120/400". systemd ignores keys it does not know."""
SETTLED: Final = "X_INSPECTOR_SETTLED"
"""decide: every camera has ended and every frame has its verdict."""
CAPTURED: Final = "X_INSPECTOR_CAPTURED"


class Notifier:
    """Tells whoever started this process how it is doing; says nothing where nobody listens."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def tell(self, **state: str) -> None:
        """Send assignments such as READY="1"; a listener that has gone is no reason to stop a line."""
        if self._socket is None:
            return
        message = "\n".join(f"{key}={value}" for key, value in state.items())
        try:
            self._socket.send(message.encode())
        except OSError:
            self._socket.close()
            self._socket = None


class NotifyListener:
    """The other end, for `inspector run`: collects what the stages tell."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self.address))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def receive(self) -> dict[str, str]:
        """All assignments that have come, the newest of each key."""
        told: dict[str, str] = {}
        while True:
            try:
                text = self._socket.recv(4096).decode()
            except BlockingIOError:
                return told
            for line in text.splitlines():
                key, _, value = line.partition("=")
                told[key] = value

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self.address.unlink(missing_ok=True)
