"""A client's end of an order socket: `inspector swap` and `inspector coil` use it, and so do the page and OPC UA.

Each packet is a JSON object. The client sends one order; the other end replies with notes and one answer.
"""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from inspector.errors import WorkError
from inspector.folders import refuse_foreign_folder

MAX_BYTES: Final = 65_536

NO_JSON: Final = (ValueError, RecursionError)
"""What `json.loads` raises for bytes that are not JSON or are nested too deeply."""


def give_order(
    path: Path,
    wanted: dict[str, Any],
    on_note: Callable[[str], None],
    *,
    any_owner: bool = False,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Send an order to a running line and return its answer; `any_owner` is for a folder that the config names.

    Raises FileNotFoundError when no line listens, TimeoutError after `timeout_s` without a reply, ConfigError when
    the folder belongs to another user, and WorkError with the reason when the line refuses or ends.
    """
    if not any_owner:
        refuse_foreign_folder(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(timeout_s)
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
                raise WorkError("the line ended before it answered")
            match _decoded(packet):
                case {"refused": reason}:
                    raise WorkError(str(reason))
                case {"done": dict(done)}:
                    return done
                case {"note": note}:
                    on_note(str(note))
                case _:
                    raise WorkError(
                        f"{path}: the program that listens there is not this version of `inspector run`"
                    )


def _decoded(packet: bytes) -> Any:
    try:
        return json.loads(packet)
    except NO_JSON:
        return None
