"""An HTTP server for this PC only: one asyncio thread, few connections, short lives.

decide's health server and the strip's orders share it. Only programs on this PC reach it, and only under its own
names: see `http_request`.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Collection
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self

import structlog

from inspector.errors import InputError
from inspector.monitoring.http_request import METHODS, Refused, Request, parse

LOOPBACK: Final = "127.0.0.1"

TEXT: Final = "text/plain; charset=utf-8"

REQUEST_S: Final = 2.0
"""Longest life of a connection, seconds; a local request takes milliseconds."""

MOST_CONNECTIONS: Final = 64
"""Most connections at once; one more replaces the oldest. A few monitoring programs poll every few seconds."""

MAX_HEAD_BYTES: Final = 8192
"""Largest request head (request line and headers); a browser with all its cookies sends less."""

MAX_BODY_BYTES: Final = 65_536
"""Largest request body; an order has a few hundred bytes."""

STOP_S: Final = 0.3
"""Longest wait for the server thread at the end, seconds; the process does not wait longer for a request."""

log = structlog.get_logger()


class Answer(NamedTuple):
    """One response."""

    code: HTTPStatus
    kind: str
    """Content type."""
    content: bytes


class LocalServer:
    """Serves all connections from one thread with asyncio, so that no connection waits for another."""

    def __init__(
        self,
        port: int,
        key: str,
        answer: Callable[[Request, bytes], Answer],
        methods: Collection[str] = METHODS,
    ) -> None:
        """`key` is the config's key of the port, for messages. `answer` gets a request and its body, and may raise
        Refused; it must answer within milliseconds. Raises InputError when the port is not free."""
        self._name, self._answer, self._methods = key.partition(".")[0], answer, methods
        try:
            self._socket = socket.create_server((LOOPBACK, port), backlog=MOST_CONNECTIONS)
        except OSError as error:
            raise InputError(f"{key}: {port} cannot be listened on: {error.strerror}: give another port") from None
        self._connections: dict[asyncio.Task[Any], None] = {}  # oldest first
        self._started = threading.Event()
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=self._name, daemon=True)

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
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
            log.error("request failed", server=self._name, error=repr(error))
        finally:
            del self._connections[task]
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long") from None
            request = parse(head, self._methods)
            if request.length > MAX_BODY_BYTES:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
            content = await reader.readexactly(request.length)
            method, answer = request.method, self._answer(request, content)
        except asyncio.IncompleteReadError:
            return
        except Refused as refused:
            method, answer = "GET", Answer(refused.code, TEXT, f"{refused}\n".encode())
        lines = (
            f"HTTP/1.1 {answer.code.value} {answer.code.phrase}",
            f"Content-Type: {answer.kind}",
            f"Content-Length: {len(answer.content)}",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else answer.content))
        await writer.drain()
        # Read until the client closes: closing earlier could discard the response.
        if writer.can_write_eof():
            writer.write_eof()
        while await reader.read(MAX_HEAD_BYTES):
            pass
