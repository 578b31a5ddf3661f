"""Control socket of `inspector run`, in the links folder; it takes one order at a time from `inspector swap`.

Each packet is a JSON object. The client sends one order; the line replies with any number of notes and one answer.
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.config.line import LoadedConfig
from inspector.errors import ConfigError
from inspector.folders import make_own_folder
from inspector.runtime.orders import MAX_BYTES, NO_JSON
from inspector.wire.links import answers, socket_path

_ORDER_S: Final = 0.2
"""Longest wait for an order after a client connects, seconds. `inspector swap` sends its order at once, and the
line's loop must not wait longer."""

_PEER: Final = struct.Struct("3i")
"""Process, user and group id of the peer (struct ucred, socket(7))."""

log = structlog.get_logger()


def control_path(config: LoadedConfig) -> Path:
    """The control socket of a run of this config; raises ConfigError when its path is too long."""
    digest = hashlib.sha256(bytes(config.path.resolve())).hexdigest()[:12]
    return socket_path(config.line.links, f"control-{digest}")


class Order:
    """One order and the connection to its sender, who may have disconnected."""

    def __init__(self, connection: socket.socket, wanted: dict[str, Any]) -> None:
        self._connection = connection
        self.wanted = wanted

    def note(self, text: str) -> None:
        """Send a progress note."""
        self._send({"note": text})

    def answer(self, **values: Any) -> None:
        """Report success with these figures, and close the connection."""
        self._send({"done": values})
        self._connection.close()

    def refuse(self, reason: str) -> None:
        """Report failure with the reason, and close the connection."""
        self._send({"refused": reason})
        self._connection.close()

    def _send(self, packet: dict[str, Any]) -> None:
        # The order is carried out even if its sender has disconnected.
        with contextlib.suppress(OSError):
            self._connection.send(json.dumps(packet).encode(), socket.MSG_DONTWAIT)


class Control:
    """The line's end of the control socket."""

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            self._bind(path)
        except OSError as error:
            # Not fatal: the line's own links do not use this socket.
            self._path = None
            log.warning("`inspector swap` will not reach this run", socket=str(path), error=str(error))
        except ConfigError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def _bind(self, path: Path) -> None:
        make_own_folder(path.parent)
        if answers(path, socket.SOCK_SEQPACKET):
            raise FileExistsError("another run of this config listens there")
        path.unlink(missing_ok=True)  # left by a killed run
        self._socket.bind(os.fspath(path))
        path.chmod(0o600)
        self._socket.listen(4)

    @property
    def open(self) -> bool:
        """Whether the socket accepts orders."""
        return self._path is not None

    def fileno(self) -> int:
        """Readable while an order waits."""
        return self._socket.fileno()

    def take(self) -> Order | None:
        """The next order; None when no valid order waits or its sender is another user."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return None
        connection.settimeout(_ORDER_S)
        try:
            wanted = json.loads(connection.recv(MAX_BYTES)) if _is_ours(connection) else None
        except (OSError, *NO_JSON):
            wanted = None
        if not isinstance(wanted, dict):
            connection.close()
            return None
        return Order(connection, wanted)

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def listener(path: Path) -> int | None:
    """The id of the process that listens at this socket; None when none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(_ORDER_S)
        try:
            connection.connect(os.fspath(path))
        except OSError:
            return None
        pid, _, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return int(pid)


def _is_ours(connection: socket.socket) -> bool:
    """Whether the sender is this user or root. Others may be able to connect, but may not give orders."""
    _, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return user in {os.geteuid(), 0}
