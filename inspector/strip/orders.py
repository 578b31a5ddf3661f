"""Socket of the strip process for `inspector coil`, in the strip's folder. One packet asks, one answers."""

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.core.strip.coils import CoilData, EventRefusedError
from inspector.folders import share_with_group
from inspector.strip.desk import CoilDesk
from inspector.strip.roll_desk import RollDesk
from inspector.wire.links import answers, socket_path

SOCKET_NAME: Final = "orders"

MAX_BYTES: Final = 65_536

_ORDER_S: Final = 0.2
"""Longest wait for an order after a client connects, seconds: `inspector coil` sends it at once."""

_PEER: Final = struct.Struct("3i")

log = structlog.get_logger()


def orders_path(folder: Path) -> Path:
    """The socket's path; raises ConfigError when it is too long."""
    return socket_path(folder, SOCKET_NAME)


class Orders:
    """The strip's end."""

    def __init__(
        self, folder: Path, desk: CoilDesk, rolls: RollDesk, status: Callable[[], dict[str, Any]]
    ) -> None:
        """Raises ConfigError, OSError."""
        self._desk, self._rolls, self._status = desk, rolls, status
        self._path = orders_path(folder)
        if answers(self._path, socket.SOCK_SEQPACKET):
            raise FileExistsError(f"{self._path}: another strip process answers there")
        self._path.unlink(missing_ok=True)  # left by a killed one
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._socket.bind(os.fspath(self._path))
        share_with_group(self._path)
        self._socket.listen(4)
        self._socket.settimeout(_ORDER_S)

    def turn(self) -> None:
        """Wait a moment for an order, and answer it."""
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(_ORDER_S)
            try:
                wanted = json.loads(connection.recv(MAX_BYTES))
                answer = self._answer(wanted if isinstance(wanted, dict) else {})
            except (OSError, ValueError, RecursionError) as error:
                answer = {"refused": f"no order: {error}"}
            try:
                connection.send(json.dumps(answer).encode())
            except OSError as error:
                log.warning("an order's sender is gone: it was carried out", error=str(error))

    def _answer(self, wanted: dict[str, Any]) -> dict[str, Any]:
        try:
            match wanted:
                case {"coil": "start", "data": dict(data)}:
                    coil = self._desk.start(CoilData(**data), "command", wanted.get("position_mm"))
                    return {"done": {"number": coil.number, "plan": coil.start.plan, "why": coil.start.plan_why,
                                     "recipe": coil.start.recipe, "position_mm": coil.start_mm}}  # fmt: skip
                case {"coil": "end"}:
                    coil = self._desk.end(str(wanted.get("id") or ""), "command", wanted.get("position_mm"))
                    length_mm = (coil.end_mm or coil.start_mm) - coil.start_mm
                    return {"done": {"number": coil.number, "id": coil.id, "length_mm": length_mm}}
                case {"rolls": "changed"}:
                    return {"done": self._rolls.changed(str(wanted.get("text") or ""), "command",
                                                        wanted.get("position_mm"))}  # fmt: skip
                case {"coil": "status"}:
                    return {"done": self._status()}
        except EventRefusedError as refused:
            return {"refused": str(refused)}
        except OSError as error:
            return {"refused": f"the event cannot be written down: {error.strerror}: free some disk space"}
        except TypeError as error:
            return {"refused": str(error)}
        return {"refused": "an order is start, end or status of a coil, or a change of rolls"}

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
