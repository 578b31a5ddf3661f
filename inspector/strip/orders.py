"""The strip process's socket for `inspector coil`, in the strip's folder: one packet per order and per answer."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.core.strip.coils import EventRefusedError
from inspector.errors import WorkError
from inspector.folders import share_with_group
from inspector.runtime.orders import MAX_BYTES, give_order
from inspector.strip import coil_orders
from inspector.strip.coil_events import CoilEvents
from inspector.strip.coil_orders import OrderRefusedError, end_coil, start_coil
from inspector.strip.roll_events import RollEvents
from inspector.wire.links import answers, socket_path

SOCKET_NAME: Final = "orders"

ROLL_CHANGE: Final = "roll change"
"""Kind of the event that clears roll marks."""

ANSWER_S: Final = 5.0
"""Longest wait for the strip process's answer, seconds; it answers within milliseconds."""

_ORDER_S: Final = 0.2
"""Longest wait for an order after a client connects, seconds: `inspector coil` sends it at once."""

log = structlog.get_logger()


def orders_path(folder: Path) -> Path:
    """The socket's path; raises ConfigError when it is too long."""
    return socket_path(folder, SOCKET_NAME)


def change_rolls(folder: Path, text: str) -> dict[str, Any]:
    """Clear the roll-mark alarms of the rolls that a text means; `rolls` and `cleared` name them.

    Raises WorkError when the strip process refuses or does not answer.
    """
    path = orders_path(folder)
    order = {"rolls": "changed", "text": text}
    try:
        return give_order(path, order, lambda _: None, any_owner=True, timeout_s=ANSWER_S)
    except FileNotFoundError:
        raise WorkError("the strip process does not run: start the line and note it again") from None
    except OSError as error:
        raise WorkError(f"{path}: {error.strerror or error}: see the strip process's log") from None


class Orders:
    """The strip process's end of the socket."""

    def __init__(
        self, folder: Path, coil_events: CoilEvents, rolls: RollEvents, status: Callable[[], dict[str, Any]]
    ) -> None:
        """Raises ConfigError, OSError."""
        self._coil_events, self._rolls, self._status = coil_events, rolls, status
        self._path = orders_path(folder)
        if answers(self._path, socket.SOCK_SEQPACKET):
            raise FileExistsError(f"{self._path}: another strip process listens there")
        self._path.unlink(missing_ok=True)  # left by a killed one
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._socket.bind(os.fspath(self._path))
        share_with_group(self._path)
        self._socket.listen(4)
        self._socket.settimeout(_ORDER_S)

    def turn(self) -> None:
        """Wait briefly for an order and answer it."""
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
                log.warning("an order was carried out, but its sender has disconnected", error=str(error))

    def _answer(self, wanted: dict[str, Any]) -> dict[str, Any]:
        try:
            match wanted:
                case {"coil": "start", "data": dict(data)}:
                    order = data | {"position_mm": wanted.get("position_mm")}
                    return {"done": start_coil(self._coil_events, order, "command")}
                case {"coil": "end"}:
                    order = {"id": wanted.get("id") or "", "position_mm": wanted.get("position_mm")}
                    return {"done": end_coil(self._coil_events, order, "command")}
                case {"rolls": "changed"}:
                    order = {"text": wanted.get("text") or "", "position_mm": wanted.get("position_mm")}
                    return {"done": coil_orders.change_rolls(self._rolls, order, "command")}
                case {"coil": "status"}:
                    return {"done": self._status()}
        except (EventRefusedError, OrderRefusedError) as refused:
            return {"refused": str(refused)}
        except OSError as error:
            return {"refused": f"the event cannot be written: {error.strerror}: free some disk space"}
        return {"refused": "an order is start, end or status of a coil, or a change of rolls"}

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
