"""A PLC over Modbus/TCP: each block is one write that is answered in time, or the connection is closed."""

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from inspector.config.sinks import GateSettings
from inspector.extras import needs_extra
from inspector.sinks.gate.gate import Block
from inspector.sinks.gate.registers import REGISTERS, RUN, encode

if TYPE_CHECKING:
    from inspector.sinks.gate.modbus_client import BoundedClient

WRITE: Final = 16
"""Modbus function code of "write multiple registers"."""

CONNECT_S: Final = 2.0
"""Longest wait for the PLC to accept a connection, seconds; no verdict waits for it."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 1.0
"""Longest pause before connecting again, seconds. Pauses double from FIRST_PAUSE_S up to this.

Without a connection the gate rejects all steel.
"""

LEAVE_S: Final = 0.1
"""Longest wait for the connecting thread at the end, seconds: an attempt under way must not delay a stop."""

STEADY_S: Final = 1.0
"""Shortest life of a good connection, seconds; after one the pauses start from the first again."""

log = structlog.get_logger()


def reach(settings: GateSettings) -> str:
    """Return the gate's address and whether it answers now, for `inspector check`.

    An unreachable gate is not an error, because a line starts without its PLC too. Raises InputError if pymodbus
    is missing.
    """
    client, _, why = _connect(settings)
    if client is not None:
        client.close()
    where = f"{settings.host}:{settings.port}, {REGISTERS} registers from {settings.base_register}"
    return f"{where}: " + ("answers" if client is not None else f"not now: {why}")


class ModbusGate:
    """Writes blocks from decide's thread; a second thread connects and reconnects.

    A new connection is used only after the PLC has answered a read of the gate's registers within the time-out, so
    a PLC that hangs or is too slow is detected there, without delaying verdicts.
    """

    def __init__(self, settings: GateSettings) -> None:
        with needs_extra("the gate"):
            from pymodbus.exceptions import ModbusException
        self._errors = (ModbusException, OSError)
        self._settings = settings
        self._client: BoundedClient | None = None
        """decide's thread uses and clears it; the connecting thread sets it while it is None."""
        self.run_before: int | None = None
        self._given_up = 0
        """Connections given up since the last one that lasted STEADY_S."""
        self._wanted = threading.Event()
        self._wanted.set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="gate", daemon=True)
        self._thread.start()

    def tell(self, block: Block) -> bool:
        """Write one block; see `Gate.tell`."""
        client = self._client
        if client is None:
            return False
        why = self._write(client, encode(block))
        if why is None:
            return True
        # A late answer would be taken for that of the next write, so the connection is closed.
        self._client = None
        client.close()
        self._wanted.set()
        self._given_up += 1
        if self._given_up.bit_count() == 1:
            # At 1, 2, 4, 8, …: a PLC that accepts connections but no writes must not fill the log.
            log.warning("gate connection given up", gate=self._address, why=why, times=self._given_up)
        return False

    def close(self) -> None:
        """Close the connection for good."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(LEAVE_S)
        if self._client is not None:
            self._client.close()

    @property
    def _address(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _write(self, client: "BoundedClient", words: list[int]) -> str | None:
        settings = self._settings
        try:
            answer = client.write_registers(settings.base_register, words, device_id=settings.device_id)
        except self._errors:
            return _no_answer(client, settings, "write")
        if answer.isError():
            return f"the PLC refused a write: {answer}"
        if answer.function_code != WRITE or (answer.address, answer.count) != (settings.base_register, REGISTERS):
            return f"the PLC confirmed another write: {answer}"
        return None

    def _keep_connected(self) -> None:
        pause_s, tries = 0.0, 0
        while True:
            self._wanted.wait()
            if self._closing.wait(pause_s):
                return
            pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            client, registers, why = _connect(self._settings)
            if client is None:
                tries += 1
                if tries.bit_count() == 1:
                    # At 1, 2, 4, 8, …: a PLC that is gone for days must not fill the log.
                    log.warning("gate cannot be reached", gate=self._address, why=why, tries=tries)
                continue
            tries, connected_s = 0, time.monotonic()
            self._wanted.clear()
            if self._closing.is_set():
                client.close()
                return
            self.run_before = registers[RUN]
            self._client = client
            if not self._given_up:
                log.info("gate connected", gate=self._address)
            self._wanted.wait()
            if time.monotonic() - connected_s > STEADY_S:
                pause_s, self._given_up = FIRST_PAUSE_S, 0


def _connect(settings: GateSettings) -> "tuple[BoundedClient | None, list[int], str]":
    """Connect and read the registers; returns (client, registers, ""), or (None, [], reason) on failure."""
    with needs_extra("the gate"):
        from pymodbus.exceptions import ModbusException

        from inspector.sinks.gate.modbus_client import BoundedClient
    client = BoundedClient(
        settings.host,
        settings.port,
        device_id=settings.device_id,
        connect_s=CONNECT_S,
        answer_s=settings.timeout_ms / 1000,
    )
    if not client.connect():
        return None, [], f"no connection within {CONNECT_S:g} s"
    try:
        answer = client.read_holding_registers(
            settings.base_register, count=REGISTERS, device_id=settings.device_id
        )
    except (ModbusException, OSError):
        why = _no_answer(client, settings, "read")
    else:
        if not answer.isError() and len(answer.registers) == REGISTERS:
            return client, list(answer.registers), ""
        why = f"the PLC refused a read of {REGISTERS} registers: {answer}"
    client.close()
    return None, [], why


def _no_answer(client: "BoundedClient", settings: GateSettings, request: str) -> str:
    if client.other_unit is not None:
        return f"the PLC answers as unit {client.other_unit}, not {settings.device_id}: see gate.device_id"
    return f"no answer to a {request} within {settings.timeout_ms:g} ms"
