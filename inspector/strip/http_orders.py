"""Coil orders over HTTP, for programs on this PC: what `inspector coil` does, for a mill's software."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from inspector.core.strip.coils import EventRefusedError
from inspector.monitoring.http_request import Refused, Request
from inspector.monitoring.local_server import Answer, LocalServer
from inspector.strip.coil_events import CoilEvents
from inspector.strip.coil_orders import OrderRefusedError, end_coil, start_coil

METHODS: Final = ("GET", "HEAD", "POST")

JSON: Final = "application/json"

PATHS: Final = {"/coil": "GET", "/coil/start": "POST", "/coil/end": "POST"}


class HttpOrders:
    """Answers the orders; the server's thread calls `CoilEvents`, which any thread may."""

    def __init__(self, port: int, coil_events: CoilEvents, status: Callable[[], dict[str, Any]]) -> None:
        """`status` gives what `GET /coil` answers. Raises InputError when the port is not free."""
        self._coil_events, self._status = coil_events, status
        self._server = LocalServer(port, "strip.http_port", self._answer, METHODS)

    def start(self) -> None:
        """Begin to serve."""
        self._server.__enter__()

    def close(self) -> None:
        """Stop serving."""
        self._server.__exit__()

    def _answer(self, request: Request, body: bytes) -> Answer:
        method = PATHS.get(request.path)
        if method is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is GET /coil, POST /coil/start and POST /coil/end")
        if (request.method == "POST") != (method == "POST"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"use {method} for {request.path}")
        if method == "GET":
            return _json(HTTPStatus.OK, self._status())
        wanted = _order(request, body)
        try:
            done = (start_coil if request.path == "/coil/start" else end_coil)(self._coil_events, wanted, "http")
        except OrderRefusedError as refused:
            return _json(HTTPStatus.BAD_REQUEST, {"refused": str(refused)})
        except EventRefusedError as refused:
            # A repeated order, sent because its answer was lost, counts as done.
            code = HTTPStatus.OK if refused.again else HTTPStatus.CONFLICT
            return _json(code, {"again" if refused.again else "refused": str(refused)})
        except OSError as error:
            why = f"the event cannot be written: {error.strerror}: free some disk space"
            return _json(HTTPStatus.INSUFFICIENT_STORAGE, {"refused": why})
        return _json(HTTPStatus.OK, done)


def _order(request: Request, body: bytes) -> Any:
    """The body as JSON; an empty one stands for an order without fields."""
    if body and request.kind != JSON:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the order as {JSON}")
    try:
        wanted = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the order is no JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, 'an order is an object, such as {"id": "C-48213"}')
    return wanted


def _json(code: HTTPStatus, content: dict[str, Any]) -> Answer:
    return Answer(code, JSON, json.dumps(content, ensure_ascii=False).encode() + b"\n")
