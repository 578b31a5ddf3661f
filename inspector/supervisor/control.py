"""Where a running `inspector run` takes orders: a socket beside the line's links, one order at a time.

A packet is a JSON object: the order one way, then any number of notes and one answer the other way.
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.config.line import LoadedConfig
from inspector.errors import ConfigError, WorkError
from inspector.folders import make_own_folder, refuse_foreign_folder
from inspector.wire.links import answers, socket_path

MAX_BYTES: Final = 65_536

_ORDER_S: Final = 0.2
"""`inspector swap` says what it wants as soon as it is connected; the line's loop waits no longer for anyone."""

_PEER: Final = struct.Struct("3i")
"""Process, user and group at the other end (ucred in socket(7))."""

_NO_JSON: Final = (ValueError, RecursionError)
"""What `json.loads` raises for bytes that are no JSON, or lie in each other too deep."""

log = structlog.get_logger()


def control_path(config: LoadedConfig) -> Path:
    """Where a run of this config listens; raises ConfigError when the folder's name is too long for a socket."""
    digest = hashlib.sha256(bytes(config.path.resolve())).hexdigest()[:12]
    return socket_path(config.line.links, f"control-{digest}")


class Order:
    """One order and whoever gave it, who may be gone by now."""

    def __init__(self, connection: socket.socket, wanted: dict[str, Any]) -> None:
        self._connection = connection
        self.wanted = wanted

    def note(self, text: str) -> None:
        """Say how far it is."""
        self._send({"note": text})

    def answer(self, **values: Any) -> None:
        """Done, with these figures."""
        self._send({"done": values})
        self._connection.close()

    def refuse(self, reason: str) -> None:
        """Not done, and why."""
        self._send({"refused": reason})
        self._connection.close()

    def _send(self, packet: dict[str, Any]) -> None:
        # The order is carried out whether or not the one who gave it still listens.
        with contextlib.suppress(OSError):
            self._connection.send(json.dumps(packet).encode(), socket.MSG_DONTWAIT)


class Control:
    """The line's end."""

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            self._bind(path)
        except OSError as error:
            # The line runs without: its own links lie elsewhere.
            self._path = None
            log.warning("`inspector swap` will not reach this run", socket=str(path), error=str(error))
        except ConfigError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def _bind(self, path: Path) -> None:
        make_own_folder(path.parent)
        if answers(path, socket.SOCK_SEQPACKET):
            raise FileExistsError("another run of this config answers there")
        path.unlink(missing_ok=True)  # of a run that was killed
        self._socket.bind(os.fspath(path))
        path.chmod(0o600)
        self._socket.listen(4)

    @property
    def open(self) -> bool:
        """Whether orders can come here."""
        return self._path is not None

    def fileno(self) -> int:
        """Polls readable while an order waits."""
        return self._socket.fileno()

    def take(self) -> Order | None:
        """The order that waits, unless it is none."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return None
        connection.settimeout(_ORDER_S)
        try:
            wanted = json.loads(connection.recv(MAX_BYTES)) if _is_ours(connection) else None
        except (OSError, *_NO_JSON):
            wanted = None
        if not isinstance(wanted, dict):
            connection.close()
            return None
        return Order(connection, wanted)

    def close(self) -> None:
        """Take no more orders."""
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def listener(path: Path) -> int | None:
    """The process that takes orders there; None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(_ORDER_S)
        try:
            connection.connect(os.fspath(path))
        except OSError:
            return None
        pid, _, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return int(pid)


def _is_ours(connection: socket.socket) -> bool:
    """Only this user and root give orders, whoever can reach the socket."""
    _, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return user in {os.geteuid(), 0}


def give_order(path: Path, wanted: dict[str, Any], on_note: Callable[[str], None]) -> dict[str, Any]:
    """Have a running line do something; returns its answer.

    Raises FileNotFoundError where no line listens, ConfigError where the folder is another user's, WorkError with
    its reason when the line refuses or ends.
    """
    refuse_foreign_folder(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            raise FileNotFoundError(path) from None
        connection.send(json.dumps(wanted).encode())
        while True:
            try:
                packet = connection.recv(MAX_BYTES)
            except ConnectionResetError:
                packet = b""
            if not packet:
                raise WorkError("the line ended before it had answered")
            match _decoded(packet):
                case {"refused": reason}:
                    raise WorkError(str(reason))
                case {"done": dict(done)}:
                    return done
                case {"note": note}:
                    on_note(str(note))
                case _:
                    raise WorkError(f"{path}: what answers there is no `inspector run` of this version")


def _decoded(packet: bytes) -> Any:
    try:
        return json.loads(packet)
    except _NO_JSON:
        return None
