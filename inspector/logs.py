"""Logs: readable lines on a terminal, otherwise one JSON object a line; with camera, frame and engine if known."""

import atexit
import logging
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

import structlog

from inspector.passwords import mask_event

HELD_LINES: Final = 2_000
"""Most log lines that wait for a slow or hung reader; further lines are counted and dropped."""

LEAVE_S: Final = 0.5
"""How long queued lines may take to be written at the end, seconds."""

TURN_S: Final = 0.02


class StandardError:
    """A stderr that never blocks its writer and never fails: a thread writes, and drops what it cannot write.

    A full disk, a closed or hung pipe, or a closed terminal must not end a line or delay a verdict.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Queue the text; a thread writes it."""
        if sys.stderr is not sys.__stderr__:
            # A calling program has replaced stderr and wants the text there at once.
            with suppress(OSError, ValueError):
                sys.stderr.write(text)
            return len(text)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if len(self._lines) >= HELD_LINES:
            self._dropped += 1
        else:
            self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes unbuffered."""

    def isatty(self) -> bool:
        """Whether stderr is a terminal."""
        return sys.stderr.isatty()

    def close_soon(self) -> None:
        """Give queued lines a moment to be written."""
        self._leaving.set()
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="log lines", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            leaving = self._leaving.wait(TURN_S)
            while self._lines:
                self._put(self._lines.popleft())
            dropped, self._dropped = self._dropped, 0
            if dropped:
                self._put(f"{dropped} log lines dropped: the reader of stderr is too slow\n")
            if leaving:
                return

    def _put(self, text: str) -> None:
        rest = text.encode("utf-8", "backslashreplace")
        while rest:
            try:
                rest = rest[os.write(2, rest) :]
            except BlockingIOError:
                time.sleep(TURN_S)
            except OSError:
                return  # there is no other place to report it


STDERR: Final = StandardError()
"""The stream for logs and progress."""

atexit.register(STDERR.close_soon)


def configure(process: str) -> None:
    """Set up structlog for this process; INSPECTOR_LOG_LEVEL (debug, info, warning, error) sets the level."""
    # pymodbus would log a broken connection for every verdict; the gate logs it once, in one line.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
    level = getattr(logging, os.environ.get("INSPECTOR_LOG_LEVEL", "info").upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.StackInfoRenderer(),
    ]
    if sys.stderr is not None and sys.stderr.isatty():
        final: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        final = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *final[:-1], mask_event, final[-1]],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Printer(),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)


class _Printer:
    """Writes the lines that structlog has rendered."""

    def msg(self, message: str) -> None:
        STDERR.write(message + "\n")

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
