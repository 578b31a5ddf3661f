"""Reads coils from a PLC's holding registers, in a thread."""

import threading
from typing import Any, Final

import structlog

from inspector.config.level2 import CoilRegisters
from inspector.core.strip.coils import REMEMBERED, Coil, EventRefusedError
from inspector.core.strip.telegram import Codec, TelegramError, size_of
from inspector.errors import WorkError
from inspector.repeated import Repeated
from inspector.strip.coil_events import CoilEvents
from inspector.strip.level2 import coil_data
from inspector.strip.plc import PlcReader

MODBUS: Final = "modbus"
"""Where an event from the registers comes from."""

PAUSE_S: Final = 1.0
"""Pause after a failed read, seconds."""

log = structlog.get_logger()


class CoilRegistersThread:
    """Starts a coil when `counter` or `id` changes; ends it when the id is empty."""

    def __init__(self, settings: CoilRegisters, coil_events: CoilEvents) -> None:
        """Raises InputError if pymodbus is missing."""
        self._settings, self._coil_events = settings, coil_events
        self._fields = tuple(field.spec() for field in settings.fields_)
        self._codec = Codec(settings.byte_order == "big", settings.encoding)
        self._bytes = size_of(self._fields)
        self._plc = PlcReader(settings)
        self._before: bytes | None = None
        self._first = True
        """Whether no registers were applied since the start."""
        self._done: bytes | None = None
        """The last registers whose coil was accepted or refused."""
        self._gone, self._bad = Repeated(), Repeated()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coil-registers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        wait_s = self._settings.interval_ms / 1000
        while not self._stop.wait(wait_s):
            wait_s = self._settings.interval_ms / 1000
            try:
                words = self._plc.read(self._settings.first_register, (self._bytes + 1) // 2).words
                self.look(b"".join(word.to_bytes(2, self._settings.byte_order) for word in words)[: self._bytes])
            except WorkError as error:
                wait_s = PAUSE_S
                if (count := self._gone.due()) is not None:
                    log.warning(
                        "coil registers cannot be read", plc=self._plc.address, why=str(error), count=count
                    )
            except Exception:
                # A fault of the program with these registers: the next ones may be well.
                log.exception("coil registers cannot be handled")
                wait_s = PAUSE_S
        self._plc.close()

    def look(self, content: bytes) -> None:
        """Apply the registers if two reads agree, because a PLC writes them one by one."""
        if content != self._before or content == self._done:
            self._before = content
            return
        if not any(content) and any(field.name == "counter" for field in self._fields):
            return  # a PLC that starts: its program has not written the registers yet
        self._done = content
        try:
            values = self._codec.decode(self._fields, content)
        except TelegramError as error:
            if (count := self._bad.due()) is not None:
                log.warning("coil registers not understood", why=str(error), count=count)
            return
        try:
            self._take(values)
        except EventRefusedError:
            return  # `CoilEvents` has logged the reason
        except OSError as error:
            log.error("coil event cannot be written: retrying", error=error.strerror)
            self._done = None

    def _take(self, values: dict[str, Any]) -> None:
        coil = coil_data(values)
        coils, first, self._first = self._coil_events.coils, self._first, False
        newest = coils[-1:]
        open_coil = newest[0] if newest and newest[0].end_mm is None else None
        if not coil.id:
            if open_coil is not None:
                self._coil_events.end("", MODBUS, values.get("position_mm"))
            return
        counter = values.get("counter")
        said_by = MODBUS if counter is None else f"{MODBUS}:{int(counter)}:{coil.id}"
        # Known from before a restart. The same coil runs again once its id was empty.
        again = open_coil is None and bool(newest) and newest[0].end_said_by == MODBUS
        if again and counter is not None and (newest[0].id, newest[0].start.said_by) == (coil.id, said_by):
            said_by = f"{said_by}:{newest[0].number}"
        if newest and (newest[0].id, newest[0].start.said_by) == (coil.id, said_by) and not again:
            return
        if (
            first
            and counter is None
            and not again
            and any(_is(each, coil.id, said_by) for each in coils[-REMEMBERED:])
        ):
            return  # a coil by hand came after it, and the registers stayed
        self._coil_events.start(coil, said_by, values.get("position_mm"))


def _is(coil: Coil, coil_id: str, said_by: str) -> bool:
    return (coil.id, coil.start.said_by) == (coil_id, said_by)
