"""The link to Level 2: one TCP connection; each telegram, in either direction, is acknowledged or resent.

A received telegram is acknowledged when its event is on the disk. A result is resent until it is acknowledged,
results of older coils first. So killing either side loses nothing.
"""

import select
import socket
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog

from inspector.config.level2 import Level2Settings
from inspector.core.strip.coils import CoilData, EventRefusedError
from inspector.core.strip.telegram import Stream, Telegram, TelegramError, plain_text
from inspector.repeated import Repeated
from inspector.strip.coil_events import CoilEvents
from inspector.strip.keep_alive import keep_alive

TURN_S: Final = 0.1
CONNECT_S: Final = 2.0
PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before connecting again, seconds; the last one repeats."""

SEND_S: Final = 2.0
"""Longest time to send a telegram, seconds; a partner that reads nothing for this long is disconnected."""

TAKEN, REFUSED = 0, 1
"""Codes of an acknowledgement."""

log = structlog.get_logger()


class Outbox(Protocol):
    """The results that Level 2 does not have yet."""

    def oldest(self) -> tuple[int, Mapping[str, Any]] | None:
        """(coil's number, values of its result telegram); None when there is none."""
        ...

    def taken(self, number: int) -> None:
        """Note that Level 2 has the result. Raises OSError if that cannot be written."""
        ...


class Level2Link:
    """Exchanges telegrams with Level 2 in a thread."""

    def __init__(self, settings: Level2Settings, coil_events: CoilEvents, outbox: Outbox) -> None:
        self._settings, self._coil_events, self._outbox = settings, coil_events, outbox
        self._layout = settings.layout()
        self._connection: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._stream = Stream(self._layout)
        self._sequence = 0
        self._waits: tuple[int, int, float] | None = None
        """(sequence, coil's number, when to resend) of the unacknowledged result."""
        self._heard_s = self._told_s = 0.0
        self._failures = 0
        self._next_try_s = 0.0
        self._bad, self._gone = Repeated(), Repeated()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="level2", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether a partner is connected."""
        return self._connection is not None

    @property
    def address(self) -> str:
        """Address of the partner, or the one that this listens on."""
        return str(self._settings.connect or self._settings.listen)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(timeout=SEND_S + CONNECT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except (OSError, TelegramError) as error:
                self._lose(str(error))
            except Exception as error:
                # One bad telegram must not end the link for good.
                log.exception("Level 2: a telegram cannot be handled")
                self._lose(str(error))
        self._lose("", told=False)
        if self._listener is not None:
            self._listener.close()

    def _turn(self) -> None:
        if self._connection is not None and self._listener is not None and _readable(self._listener, 0.0):
            # A restarted partner no longer knows its old connection.
            self._lose("the partner has connected again")
        connection = self._connection or self._meet()
        if connection is None:
            return
        self._hear(connection)
        self._speak()

    def _meet(self) -> socket.socket | None:
        """Accept or open a connection; returns None without one."""
        made = self._accept() if self._settings.listen is not None else self._connect()
        if made is None:
            return None
        made.settimeout(SEND_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(made)  # a partner without power closes nothing, and need not send `alive`
        self._connection, self._stream, self._waits = made, Stream(self._layout), None
        self._heard_s, self._told_s, self._failures = time.monotonic(), 0.0, 0
        log.info("Level 2 is connected", partner=self.address)
        return made

    def _accept(self) -> socket.socket | None:
        if self._listener is None:
            if time.monotonic() < self._next_try_s:
                self._stop.wait(TURN_S)
                return None
            self._listener = socket.create_server(_address(str(self._settings.listen)), reuse_port=False)
            self._listener.settimeout(TURN_S)
        try:
            return self._listener.accept()[0]
        except TimeoutError:
            return None

    def _connect(self) -> socket.socket | None:
        if time.monotonic() < self._next_try_s:
            self._stop.wait(TURN_S)
            return None
        return socket.create_connection(_address(str(self._settings.connect)), timeout=CONNECT_S)

    def _lose(self, why: str, *, told: bool = True) -> None:
        unfinished = self._stream.unfinished
        self._stream = Stream(self._layout)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._next_try_s = time.monotonic() + PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        if told and (count := self._gone.due()) is not None:
            short = f", in the middle of a telegram: {unfinished} bytes of it arrived" if unfinished else ""
            log.warning(
                "Level 2 is not connected: coils continue", partner=self.address, why=why + short, count=count
            )

    def _hear(self, connection: socket.socket) -> None:
        if _readable(connection, TURN_S):
            content = connection.recv(65_536)
            if not content:
                raise ConnectionResetError("the partner has closed the connection")
            self._heard_s = time.monotonic()
            for telegram in self._stream.feed(content):
                if isinstance(telegram, TelegramError):
                    self._complain(str(telegram))
                else:
                    self._take(telegram)
        elif "alive" in self._layout.telegrams and time.monotonic() - self._heard_s > self._settings.timeout_s:
            raise ConnectionResetError(f"the partner has sent nothing for {self._settings.timeout_s:g} s")

    def _complain(self, why: str) -> None:
        if (count := self._bad.due()) is not None:
            log.warning("telegram refused", why=why, partner=self.address, count=count)

    def _take(self, telegram: Telegram) -> None:
        if telegram.name in ("coil_start", "coil_end"):
            code, text = self._coil(telegram)
            if "ack" in self._layout.telegrams:
                self._send("ack", {"of_sequence": telegram.sequence or 0, "code": code, "text": text})
        elif telegram.name == "ack":
            self._acknowledged(telegram.values)

    def _coil(self, telegram: Telegram) -> tuple[int, str]:
        values = telegram.values
        # A resent telegram has the same bytes, so the whole telegram identifies it.
        said_by = f"level2:{telegram.sequence or 0}:{zlib.crc32(telegram.raw):08x}"
        position_mm = values.get("position_mm")
        try:
            if telegram.name == "coil_start":
                self._coil_events.start(coil_data(values), said_by, position_mm)
            else:
                # Without a sequence or a time, the ends of two coils may have the same bytes.
                distinct = telegram.sequence is not None or "time" in values
                self._coil_events.end(_text(values, "id"), said_by if distinct else "level2", position_mm)
        except EventRefusedError as refused:
            return (TAKEN if refused.again else REFUSED), str(refused)
        return TAKEN, ""

    def _acknowledged(self, values: Mapping[str, Any]) -> None:
        waits = self._waits
        if waits is None:
            return
        sequence, number, _ = waits
        of = values.get("of_sequence")
        if of is not None and self._layout.sequences and int(of) != sequence:
            return
        if int(values.get("code") or 0) != TAKEN:
            # Resending would fail forever. A person must look; the result stays in the folder.
            log.error("Level 2 refuses a coil's result", coil_number=number, code=values.get("code"))
        self._outbox.taken(number)
        self._waits = None

    def _speak(self) -> None:
        now_s = time.monotonic()
        if self._waits is not None and now_s >= self._waits[2]:
            log.warning("Level 2 has not acknowledged a result: resent", coil_number=self._waits[1])
            self._waits = None
        if self._waits is None and "result" in self._layout.telegrams:
            due = self._outbox.oldest()
            if due is not None:
                sequence = self._send("result", due[1])
                self._waits = (sequence, due[0], now_s + self._settings.resend_s)
        if "alive" in self._layout.telegrams and now_s - self._told_s >= self._settings.alive_s:
            self._send("alive", {})

    def _send(self, name: str, values: Mapping[str, Any]) -> int:
        self._sequence = self._sequence % max(1, self._layout.sequences) + 1
        content = self._layout.build(name, {"time": _time_text(), **values}, self._sequence)
        assert self._connection is not None  # noqa: S101  # only called while connected
        self._connection.sendall(content)
        self._told_s = time.monotonic()
        return self._sequence


def _readable(end: socket.socket, wait_s: float) -> bool:
    return bool(select.select([end], [], [], wait_s)[0])


def coil_data(values: Mapping[str, Any]) -> CoilData:
    """Return the coil that a telegram or registers describe."""
    return CoilData(
        id=_text(values, "id"),
        grade=_text(values, "grade"),
        customer=_text(values, "customer"),
        width_mm=_size(values, "width_mm"),
        thickness_mm=_size(values, "thickness_mm"),
        length_mm=_size(values, "length_mm"),
        plan=_text(values, "plan"),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    """Return a text; a character that cannot be shown becomes �."""
    text = plain_text(values.get(name))
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    )


def _size(values: Mapping[str, Any], name: str) -> float | None:
    """Return a stated size; None for 0 or blanks, and for a negative one, which is logged."""
    value = float(values.get(name) or 0.0)
    if value < 0:
        log.warning(
            "a coil's size is negative: left out", coil=plain_text(values.get("id")), size=name, value=value
        )
    return value if value > 0 else None


def _time_text() -> str:
    return time.strftime("%Y%m%d%H%M%S")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
