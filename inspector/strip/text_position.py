"""The strip's position from lines of text over UDP or TCP."""

import re
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

import structlog

from inspector.config.strip import TextPosition
from inspector.core.strip.odometer import Reading
from inspector.errors import WorkError
from inspector.repeated import Repeated
from inspector.strip.keep_alive import keep_alive

WAIT_S: Final = 0.2
"""Longest wait for a line of text, seconds, so that a stop is noticed."""

SO_TIMESTAMPNS: Final = 35
"""From asm-generic/socket.h: the kernel stores when a datagram arrived. Python has no name for it."""

_TIMESPEC: Final = struct.Struct("@ll")

LONGEST_WAIT_NS: Final = 1_000_000_000
"""Longest wait of a datagram; a longer one means that the PC's clock was set."""

LONGEST_LINE: Final = 4096
"""Longest line of text, bytes; longer input without a line end is dropped."""

LONGEST_BACKLOG: Final = 1_000_000
"""Most input that is read at once, bytes."""

log = structlog.get_logger()


class TextSource:
    """Reads lines of text from datagrams, or from a server that it connects to."""

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
                keep_alive(made)
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
        """Yield a reading per line, with the time at which the line arrived."""
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
            # Of several lines that arrive together, only the newest is as new as its arrival.
            yield self._reading(whole[-1], arrived_ns) if whole else None

    def _receive(self, connection: socket.socket) -> tuple[bytes, int]:
        """Return what arrived and when, monotonic clock. The kernel stores a datagram's time, so a delay of this
        process does not matter. Raises OSError."""
        if self._settings.type == "tcp":
            chunk = connection.recv(LONGEST_LINE)
            # After a delay of this process, the first lines are old: only the newest one is as new as its arrival.
            while chunk and len(chunk) < LONGEST_BACKLOG and select.select([connection], [], [], 0)[0]:
                more = connection.recv(LONGEST_LINE)
                if not more:
                    break
                chunk += more
            return chunk, time.monotonic_ns()
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
        found = self._pattern.fullmatch(text)
        if found is None:
            if (count := self._unread.due()) is not None:
                log.warning("position line does not match: see strip.position", line=text[:80], count=count)
            return None
        values = found.groupdict()
        counter, speed = values.get("count"), values.get("speed")
        try:
            return Reading(
                now_ns,
                None if counter is None else float(counter),
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
