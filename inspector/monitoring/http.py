"""decide's HTTP server for this PC only: /healthz, /metrics, and /status for `inspector status`.

decide's loop stores a snapshot of the line a few times a second, and a request reads the newest one. So requests
and verdicts never wait for each other, and a hung loop shows as an old snapshot.
"""

import asyncio
import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import structlog

from inspector.config.line import HealthSettings
from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.monitoring.http_request import Refused, parse
from inspector.monitoring.state import LineState, findings
from inspector.monitoring.strip_file import read_strip_state

LOOPBACK: Final = "127.0.0.1"

REQUEST_S: Final = 2.0
"""Longest life of a connection, seconds; a local request takes milliseconds."""

MOST_CONNECTIONS: Final = 64
"""Most connections at once; one more replaces the oldest. A few monitoring programs poll every few seconds."""

MAX_HEAD_BYTES: Final = 8192
"""Largest request head (request line and headers); a browser with all its cookies sends less."""

STOP_S: Final = 0.3
"""How long to wait for the server thread at the end, seconds; the process does not wait longer for a request."""

DISK_LOOK_S: Final = 2.0
"""How often to read the free disk space, seconds. A thread does it, so a hung disk delays no response."""

DISK_STALE_S: Final = 10.0
"""Age from which a free-space figure is no longer reported, seconds."""

log = structlog.get_logger()


class HealthServer:
    """Serves all connections from one thread with asyncio, so that no connection waits for another."""

    def __init__(self, settings: HealthSettings, out: Path, strip_folder: Path | None = None) -> None:
        """`out` is where the results go. `strip_folder` is where a strip process reports."""
        with needs_extra("/metrics"):
            import prometheus_client  # noqa: F401  # fail now if it is missing, not at the first scrape
        self._disk = _DiskSpace(out)
        self._strip_folder = strip_folder
        self.state: LineState | None = None
        """The newest snapshot; replaced as a whole, so a reader needs no lock."""
        try:
            self._socket = socket.create_server((LOOPBACK, settings.port), backlog=MOST_CONNECTIONS)
        except OSError as error:
            raise InputError(
                f"health.port: {settings.port} cannot be listened on: {error.strerror}: give another port"
            ) from None
        self._connections: dict[asyncio.Task[Any], None] = {}  # oldest first
        self._started = threading.Event()
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="health", daemon=True)

    def __enter__(self) -> Self:
        """Start serving."""
        self._disk.start()
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._disk.stop()
        with contextlib.suppress(RuntimeError):  # the thread has already ended with an error
            self._end()
        self._thread.join(STOP_S)

    async def _run(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._end = partial(loop.call_soon_threadsafe, ended.set)
        try:
            server = await asyncio.start_server(self._connected, sock=self._socket, limit=MAX_HEAD_BYTES)
        finally:
            self._started.set()
        async with server:
            await ended.wait()
            for task in list(self._connections):
                task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not called by a server")
        if len(self._connections) >= MOST_CONNECTIONS:
            next(iter(self._connections)).cancel()
        self._connections[task] = None
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._serve(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # timed out, disconnected, or replaced by a newer one: there is no client to respond to
        except Exception as error:  # noqa: BLE001  # a failed request must not stop the server
            log.error("health request failed", error=repr(error))
        finally:
            del self._connections[task]
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long") from None
            except asyncio.IncompleteReadError:
                return
            method, path = parse(head)
            code, kind, content = self._answer(path)
        except Refused as refused:
            method, code, kind, content = "GET", refused.code, _TEXT, f"{refused}\n".encode()
        lines = (
            f"HTTP/1.1 {code.value} {code.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else content))
        await writer.drain()
        # Read until the client closes: closing earlier could discard the response.
        if writer.can_write_eof():
            writer.write_eof()
        while await reader.read(MAX_HEAD_BYTES):
            pass

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body of the response to a path; raises Refused for an unknown path."""
        match path:
            case "/healthz":
                wrong = findings(self._state(), time.monotonic_ns())
                code = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                return code, _TEXT, ("\n".join(wrong or ["ok"]) + "\n").encode()
            case "/metrics":
                from inspector.monitoring.prometheus import CONTENT_TYPE, exposition

                content = exposition(self._state(), time.monotonic_ns(), self.disk_free_bytes())
                return HTTPStatus.OK, CONTENT_TYPE, content
            case "/status":
                return HTTPStatus.OK, "application/json", msgspec.json.encode(self.status())
            case _:
                raise Refused(HTTPStatus.NOT_FOUND, "there is /healthz, /metrics and /status")

    def _state(self) -> LineState | None:
        """The newest snapshot, with what the strip process says now. decide itself needs nothing of it."""
        if self.state is None or self._strip_folder is None:
            return self.state
        strip = read_strip_state(self._strip_folder)
        return msgspec.structs.replace(self.state, has_strip=True, strip=strip)

    def status(self) -> dict[str, Any]:
        """The newest snapshot, with findings, age and free space as of now."""
        state, now_ns = self._state(), time.monotonic_ns()
        wrong = findings(state, now_ns)
        return {
            "healthy": not wrong,
            "findings": wrong,
            "age_s": None if state is None else round((now_ns - state.taken_ns) / 1e9, 3),
            "disk_free_bytes": self.disk_free_bytes(),
            "line": state,
        }

    def disk_free_bytes(self) -> int | None:
        """Free space of the results folder; None when it is unknown or the figure is stale."""
        return self._disk.free_bytes()


_TEXT: Final = "text/plain; charset=utf-8"


class _DiskSpace:
    """Free space of a folder's disk, read periodically by a thread, because the disk may hang."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[float, int | None] = (time.monotonic(), self._ask())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-disk", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; a thread that hangs on the disk ends with the process."""
        self._stopped.set()

    def free_bytes(self) -> int | None:
        """The newest figure; None when it is stale or could not be read."""
        at_s, free = self._known
        return free if time.monotonic() - at_s < DISK_STALE_S else None

    def _run(self) -> None:
        while not self._stopped.wait(DISK_LOOK_S):
            self._known = (time.monotonic(), self._ask())

    def _ask(self) -> int | None:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return None
