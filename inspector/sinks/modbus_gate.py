"""A PLC over Modbus/TCP: each block is one write that is answered in time, or the connection is given up."""

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from inspector.config import GateSettings
from inspector.extras import needs_service_extra
from inspector.sinks.gate import Block
from inspector.sinks.gate_registers import REGISTERS, encode

if TYPE_CHECKING:
    from inspector.sinks.modbus_client import BoundedClient

CONNECT_S: Final = 2.0
"""Longest wait for the PLC to take a connection; no verdict waits meanwhile."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
"""Pauses before connecting again: doubled each time, up to the longest."""

STEADY_S: Final = 10.0
"""A connection that lasted so long was a good one: the pauses begin from the first again."""

log = structlog.get_logger()


class ModbusGate:
    """Writes blocks from the verdicts' thread; connects, and waits for a PLC that is gone, in one of its own.

    A connection is handed to the verdicts only after the PLC has answered a read of the gate's registers within
    the time-out: one that hangs or is too slow is found out there, and costs the verdicts nothing.
    """

    def __init__(self, settings: GateSettings) -> None:
        with needs_service_extra("the gate"):
            from pymodbus.exceptions import ModbusException

            from inspector.sinks.modbus_client import BoundedClient
        # What it has to say of a connection, we say once, in one line; it would say it for each verdict.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
        self._errors = (ModbusException, OSError)
        self._settings = settings
        self._new_client = partial(
            BoundedClient, settings.host, settings.port, connect_s=CONNECT_S, answer_s=settings.timeout_ms / 1000
        )
        self._client: BoundedClient | None = None
        """The verdicts' thread writes to it and takes it away; the other one sets it, where there is none."""
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
        # An answer that comes after all would be taken for that of the next write: the connection goes.
        self._client = None
        client.close()
        self._wanted.set()
        log.warning("gate connection given up", gate=self._address, why=why)
        return False

    def close(self) -> None:
        """Give the connection up for good."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(CONNECT_S)
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
            return f"no answer to a write within {settings.timeout_ms:g} ms"
        return f"the PLC refused a write: {answer}" if answer.isError() else None

    def _probe(self, client: "BoundedClient") -> str | None:
        settings = self._settings
        try:
            answer = client.read_holding_registers(
                settings.base_register, count=REGISTERS, device_id=settings.device_id
            )
        except self._errors:
            return f"no answer to a read within {settings.timeout_ms:g} ms"
        return f"the PLC refused a read of {REGISTERS} registers: {answer}" if answer.isError() else None

    def _keep_connected(self) -> None:
        pause_s, tries, connected_s = FIRST_PAUSE_S, 0, 0.0
        while True:
            self._wanted.wait()
            if connected_s and time.monotonic() - connected_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            if connected_s:
                self._closing.wait(pause_s)
                pause_s, connected_s = min(2 * pause_s, LONGEST_PAUSE_S), 0.0
            if self._closing.is_set():
                return
            client, why = self._connect()
            if client is not None:
                self._wanted.clear()
                self._client, tries, connected_s = client, 0, time.monotonic()
                log.info("gate connected", gate=self._address)
                continue
            tries += 1
            if tries.bit_count() == 1:
                # At 1, 2, 4, 8, …: a PLC that is gone for days must not fill the log.
                log.warning("gate cannot be reached", gate=self._address, why=why, tries=tries)
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connect(self) -> "tuple[BoundedClient | None, str]":
        client = self._new_client()
        if not client.connect():
            return None, f"no connection within {CONNECT_S:g} s"
        why = self._probe(client)
        if why is None:
            return client, ""
        client.close()
        return None, why
