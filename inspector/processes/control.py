"""Where a running `inspector run` takes orders: a socket beside the line's links, one order at a time.

A packet is a JSON object: the order one way, then any number of notes and one answer the other way.
"""

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.config import LoadedConfig
from inspector.errors import WorkError
from inspector.wire.links import answers, socket_path

MAX_BYTES: Final = 65_536

_ORDER_S: Final = 2.0
"""Whoever connects says at once what it wants, or is let go."""

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
        self._socket.setblocking(False)

    def _bind(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if answers(path, socket.SOCK_SEQPACKET):
            raise FileExistsError("another run of this config answers there")
        path.unlink(missing_ok=True)  # of a run that was killed
        self._socket.bind(os.fspath(path))
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
            wanted = json.loads(connection.recv(MAX_BYTES))
        except (OSError, ValueError):
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


def give_order(path: Path, wanted: dict[str, Any], on_note: Callable[[str], None]) -> dict[str, Any]:
    """Have a running line do something; returns its answer.

    Raises FileNotFoundError where no line listens, WorkError with its reason when it refuses or ends.
    """
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
            said = json.loads(packet)
            if "refused" in said:
                raise WorkError(str(said["refused"]))
            if "done" in said:
                done: dict[str, Any] = said["done"]
                return done
            on_note(str(said["note"]))
