"""Follows the strip's position in a thread: Modbus registers, or lines of text over UDP or TCP."""

import math
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Protocol

import structlog

from inspector.config.strip import ModbusPosition, PositionSettings, TextPosition
from inspector.core.strip.odometer import Odometer, Reading
from inspector.errors import WorkError
from inspector.repeated import Repeated
from inspector.strip.plc import Answer, PlcReader, number, registers_of
from inspector.wire.strip_files import TrackWriter

WAIT_S: Final = 0.2
"""Longest wait for a line of text, seconds, so that a stop is noticed."""

PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0)
"""Pauses before connecting again, seconds; the last one repeats."""

QUIET_S: Final = 1.0
"""A text source that has sent nothing for this long is silent."""

PROMPT_ANSWERS: Final = 50
"""Newest answers that a late one is held against."""

LATE_FACTOR: Final = 3
LATE_NS: Final = 10_000_000
"""An answer that takes LATE_FACTOR times as long as the quickest one, and LATE_NS more, gives no position: at
20 m/s it may be off by half a frame."""

SO_TIMESTAMPNS: Final = 35
"""From asm-generic/socket.h: the kernel notes when a datagram arrived. Python has no name for it."""

_TIMESPEC: Final = struct.Struct("@ll")

LONGEST_WAIT_NS: Final = 1_000_000_000
"""A datagram did not wait longer: the PC's clock was set meanwhile."""

LONGEST_LINE: Final = 4096
"""Longest line of text, bytes; more without an end is no position."""

log = structlog.get_logger()


class PositionSource(Protocol):
    """Gives readings until it is closed."""

    def readings(self) -> Iterator[Reading | None]:
        """Yield readings; None where there is none yet, at least every WAIT_S. Raises WorkError when it breaks."""
        ...

    def close(self) -> None:
        """Release what is open; `readings` may be called again."""
        ...


class ModbusSource:
    """Polls a PLC's registers."""

    def __init__(self, settings: ModbusPosition) -> None:
        self._settings, self._plc = settings, PlcReader(settings)
        parts = [
            (register, registers_of(kind))
            for register, kind in (
                (settings.counter_register, settings.counter_type),
                (settings.speed_register, settings.speed_type),
            )
            if register is not None
        ]
        self._took_ns: deque[int] = deque(maxlen=PROMPT_ANSWERS)
        self._first = min(register for register, _ in parts)
        self._count = max(register + size for register, size in parts) - self._first

    def readings(self) -> Iterator[Reading | None]:
        """Yield one reading per interval, from one request, so that counter and speed are of one scan."""
        settings = self._settings
        due_s = time.monotonic()
        while True:
            answer = self._plc.read(self._first, self._count)
            yield self._reading(answer) if self._is_prompt(answer) else None
            due_s = max(due_s + settings.interval_ms / 1000, time.monotonic())
            time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0)

    def _is_prompt(self, answer: Answer) -> bool:
        """Whether the time of the answer is known well enough. Of a late one nobody knows whether the question or
        the answer was held up."""
        took_ns = answer.answered_ns - answer.asked_ns
        self._took_ns.append(took_ns)
        return took_ns <= LATE_FACTOR * min(self._took_ns) + LATE_NS

    def _reading(self, answer: Answer) -> Reading:
        settings = self._settings
        count = self._number(answer.words, settings.counter_register, settings.counter_type)
        speed = self._number(answer.words, settings.speed_register, settings.speed_type)
        clock_ns = (answer.asked_ns + answer.answered_ns) // 2
        return Reading(clock_ns, count, None if speed is None else speed * settings.speed_mm_s_per_count)

    def _number(self, words: list[int], register: int | None, kind: str) -> float | None:
        if register is None:
            return None
        start = register - self._first
        part = words[start : start + registers_of(kind)]  # type: ignore[arg-type]  # a NumberType
        return number(part, kind, low_first=self._settings.word_order == "low_first")  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connection."""
        self._plc.close()


class TextSource:
    """Lines of text: datagrams sent here, or a server that this connects to."""

    def __init__(self, settings: TextPosition) -> None:
        self._settings = settings
        host, _, port = settings.address.rpartition(":")
        self._where = (host.strip("[]"), int(port))
        self._pattern = re.compile(settings.pattern)
        self._socket: socket.socket | None = None
        self._unread = Repeated()

    def _open(self) -> socket.socket:
        try:
            if self._settings.type == "tcp":
                made = socket.create_connection(self._where, timeout=2.0)
            else:
                family = socket.AF_INET6 if ":" in self._where[0] else socket.AF_INET
                made = socket.socket(family, socket.SOCK_DGRAM)
                made.bind(self._where)
                made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError as error:
            raise WorkError(f"cannot be opened: {error.strerror or error}") from None
        made.settimeout(WAIT_S)
        self._socket = made
        return made

    def readings(self) -> Iterator[Reading | None]:
        """Yield a reading per line; the time is that of its arrival."""
        connection = self._socket or self._open()
        rest = b""
        while True:
            try:
                chunk, arrived_ns = self._receive(connection)
            except TimeoutError:
                yield None
                continue
            except OSError as error:
                raise WorkError(f"is gone: {error.strerror or error}") from None
            if not chunk and self._settings.type == "tcp":
                raise WorkError("has closed the connection")
            lines = (rest + chunk if self._settings.type == "tcp" else chunk + b"\n").split(b"\n")
            rest = lines.pop()[-LONGEST_LINE:]
            whole = [line for line in lines if line.strip()]
            # Of several lines that arrive at once only the newest is as old as its arrival.
            yield self._reading(whole[-1], arrived_ns) if whole else None

    def _receive(self, connection: socket.socket) -> tuple[bytes, int]:
        """What arrived, and when, on the monotonic clock. The kernel knows it for a datagram, however late this
        process gets its turn. Raises OSError."""
        if self._settings.type == "tcp":
            return connection.recv(LONGEST_LINE), time.monotonic_ns()
        chunk, extra, _, _ = connection.recvmsg(LONGEST_LINE, socket.CMSG_SPACE(_TIMESPEC.size))
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        for level, kind, content in extra:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(content) == _TIMESPEC.size:
                seconds, rest_ns = _TIMESPEC.unpack(content)
                waited_ns = wall_ns - (seconds * 1_000_000_000 + rest_ns)
                return chunk, now_ns - min(max(waited_ns, 0), LONGEST_WAIT_NS)
        return chunk, now_ns

    def _reading(self, line: bytes, now_ns: int) -> Reading | None:
        text = line.decode("ascii", "replace").strip()
        if not text:
            return None
        found = self._pattern.search(text)
        if found is None:
            if (count := self._unread.due()) is not None:
                log.warning("position line not understood: see strip.position", line=text[:80], count=count)
            return None
        values: dict[str, Any] = found.groupdict()
        counted = values.get("count")
        speed = values.get("speed")
        try:
            return Reading(
                now_ns,
                None if counted is None else float(counted),
                None if speed is None else float(speed) * self._settings.speed_mm_s_per_count,
            )
        except ValueError:
            if (times := self._unread.due()) is not None:
                log.warning("position line has no number where its pattern says", line=text[:80], count=times)
            return None

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def open_position(settings: PositionSettings) -> PositionSource:
    """The source that the settings describe. Raises InputError if a library is missing."""
    return ModbusSource(settings) if isinstance(settings, ModbusPosition) else TextSource(settings)


class PositionThread:
    """Reads the source, and writes each sample into the track at once."""

    def __init__(self, source: PositionSource, odometer: Odometer, track: TrackWriter, name: str) -> None:
        """`name` is the source as the log calls it."""
        self._source, self._odometer, self._track, self._name = source, odometer, track, name
        self._notes: dict[str, Repeated] = {}
        self._stop = threading.Event()
        self.answers = False
        """Whether the source answers now."""
        self.readings = 0
        self._newest_ns = 0
        self._thread = threading.Thread(target=self._run, name="position", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; waits for a question under way."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                for reading in self._source.readings():
                    if self._stop.is_set():
                        break
                    if self._take(reading):
                        failures = 0
            except WorkError as error:
                self._lost(str(error), failures)
                self._source.close()
                self._stop.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1
            except Exception:
                # Without the position, ingest counts frames; the reason must be in the log.
                log.exception("position is lost: its thread failed")
                self.answers = False
                return
        self._source.close()

    def _take(self, reading: Reading | None) -> bool:
        if reading is not None and not all(map(math.isfinite, (reading.count or 0.0, reading.speed_mm_s or 0.0))):
            self._odometer.notes.append(
                "no number: the counter or the speed is not a number; the reading is left out"
            )
            self._tell_notes()
            reading = None
        if reading is None:
            if self.answers and time.monotonic_ns() - self._newest_ns > QUIET_S * 1e9:
                self._lost(f"has sent nothing for {QUIET_S:g} s", 0)
            return False
        self._newest_ns = reading.clock_ns
        sample = self._odometer.add(reading)
        if sample is not None:
            self._track.add(sample, self._odometer.count)
        self.readings += 1
        self._tell_notes()
        if not self.answers:
            self.answers = True
            log.info("position source answers", source=self._name)
        return True

    def _tell_notes(self) -> None:
        for note in self._odometer.notes:
            # A counter that jumps all the time must not fill the log; kinds of faults are told apart.
            kind = self._notes.setdefault(note[:24], Repeated())
            if (count := kind.due()) is not None:
                log.warning("position", note=note, source=self._name, count=count)
        self._odometer.notes.clear()

    def _lost(self, why: str, failures: int) -> None:
        if self.answers or failures == 0:
            log.warning(
                "position source does not answer: positions are counted",
                source=self._name,
                why=why,
            )
        self.answers = False


def described(settings: PositionSettings) -> str:
    """The source in words, for logs and checks."""
    if isinstance(settings, ModbusPosition):
        return f"modbus {settings.host}:{settings.port}"
    return f"{settings.type} {settings.address}"
