"""pymodbus' client with a firm time-out: pymodbus restarts its own after every fragment of an answer."""

import select
import time
from typing import Final

from pymodbus.client import ModbusTcpClient

_UNIT_BYTE: Final = 6
"""Place of the unit identifier in a Modbus/TCP header."""

_ANSWER_BYTES: Final = 4096
"""Largest read, bytes: more than any Modbus answer."""


class BoundedClient(ModbusTcpClient):
    """One connection to a PLC that waits at most `answer_s` for the answer to a request."""

    def __init__(self, host: str, port: int, *, device_id: int, connect_s: float, answer_s: float) -> None:
        super().__init__(host, port=port, timeout=connect_s, retries=0)
        self._device_id = device_id
        self.other_unit: int | None = None
        """The unit that an answer named instead of the requested one; pymodbus drops such answers."""
        self._answer_s = answer_s
        self._until_s = 0.0

    def connect(self) -> bool:
        """Whether the PLC accepted the connection."""
        return bool(super().connect())  # type: ignore[no-untyped-call]  # pymodbus is only partly annotated

    def close(self) -> None:
        """Close the connection; never waits."""
        super().close()  # type: ignore[no-untyped-call]

    def send(self, request: bytes, addr: tuple[str, int] | None = None) -> int:
        """Send a request and start the time-out of its answer."""
        self._until_s = time.monotonic() + self._answer_s
        if self.socket is not None:
            self.socket.setblocking(False)
        return int(super().send(request, addr))

    def recv(self, size: int | None) -> bytes:
        """Return what has arrived of the answer; empty after the time-out or if the PLC closed the connection."""
        left_s = self._until_s - time.monotonic()
        if self.socket is None or left_s <= 0:
            return b""
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        answer = self.socket.recv(size or _ANSWER_BYTES) if poller.poll(left_s * 1000) else b""
        if len(answer) > _UNIT_BYTE:
            self.other_unit = answer[_UNIT_BYTE] if answer[_UNIT_BYTE] != self._device_id else None
        return answer
