"""Reads holding registers of a PLC over one connection, which is reopened when it breaks."""

import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from inspector.config.plc import NumberType, PlcSettings
from inspector.errors import WorkError
from inspector.extras import needs_extra

if TYPE_CHECKING:
    from inspector.sinks.gate.modbus_client import BoundedClient

CONNECT_S: Final = 2.0
"""Longest wait for the PLC to accept a connection, seconds."""

_FORMATS: Final[dict[NumberType, str]] = {
    "uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f",
}  # fmt: skip


def registers_of(kind: NumberType) -> int:
    """Return how many registers a number takes."""
    return struct.calcsize(_FORMATS[kind]) // 2


def number(words: Sequence[int], kind: NumberType, *, low_first: bool) -> float:
    """Return the number in these registers, whose count must be `registers_of`."""
    ordered = reversed(words) if low_first else words
    value: float = struct.unpack(_FORMATS[kind], b"".join(word.to_bytes(2, "big") for word in ordered))[0]
    return value


class Answer(NamedTuple):
    """Registers, and the two monotonic times between which the PLC read them."""

    asked_ns: int
    answered_ns: int
    words: list[int]


class PlcReader:
    """One connection to a PLC; `read` opens it when needed."""

    def __init__(self, settings: PlcSettings) -> None:
        """Raises InputError if pymodbus is missing."""
        with needs_extra("strip over Modbus"):
            from pymodbus.exceptions import ModbusException

            from inspector.sinks.gate.modbus_client import BoundedClient
        self._errors = (ModbusException, OSError)
        self._settings = settings
        self._client: BoundedClient | None = None

    @property
    def address(self) -> str:
        """The PLC's address."""
        return f"{self._settings.host}:{self._settings.port}"

    def read(self, first: int, count: int) -> Answer:
        """Read registers from `first` on.

        Raises WorkError with the reason; the next call connects again.
        """
        client = self._client or self._connect()
        asked_ns = time.monotonic_ns()
        try:
            answer = client.read_holding_registers(first, count=count, device_id=self._settings.device_id)
        except self._errors as error:
            self.close()
            raise WorkError(f"no answer within {self._settings.timeout_ms:g} ms ({error})") from None
        if answer.isError() or len(answer.registers) != count:
            self.close()
            raise WorkError(f"refuses to read {count} registers from {first}: {answer}")
        return Answer(asked_ns, time.monotonic_ns(), list(answer.registers))

    def _connect(self) -> "BoundedClient":
        from inspector.sinks.gate.modbus_client import BoundedClient

        settings = self._settings
        client = BoundedClient(
            settings.host,
            settings.port,
            device_id=settings.device_id,
            connect_s=CONNECT_S,
            answer_s=settings.timeout_ms / 1000,
        )
        if not client.connect():
            raise WorkError(f"no connection within {CONNECT_S:g} s")
        self._client = client
        return client

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
