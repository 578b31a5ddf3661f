"""Access control: host names, origins, headers, and the account behind a request."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import HTTPException, Request, WebSocket
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspector.config.page import PageSettings
from inspector.serve.accounts import Account, Accounts, Role
from inspector.serve.problems import Problem, problem

COOKIE: Final = "inspector_session"

NOBODY: Final = Account("", Role.VIEWER)
"""The account of every request on a PC without accounts: it may look and change nothing."""

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

SAFE: Final = ("GET", "HEAD")

MAX_BODY_BYTES: Final = 4_000_000
"""Largest request: a redrawn mask of a frame full of pits has some 100 kB."""


class Guard:
    """ASGI middleware: refuses foreign hosts, foreign origins and large bodies; adds the headers to answers."""

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app = app
        self._names = {"localhost", "127.0.0.1", "[::1]", *(name.lower() for name in settings.names)}
        if not settings.is_loopback:
            self._names.add(f"[{settings.host}]" if ":" in settings.host else settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        wrong = self._wrong(scope)
        if wrong is None:
            await self._app(scope, _limited(receive), _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": wrong[1]})
        else:
            await problem(*wrong)(scope, receive, _with_headers(send))

    def _wrong(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
        if name.lower() not in self._names:
            # Another site could point its own name at this PC.
            return HTTPStatus.MISDIRECTED_REQUEST, "this page has another name: add it to page.names"
        if scope["type"] == "http" and scope["method"] in SAFE:
            return None
        origin = headers.get("origin")
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        if origin is not None and origin.lower() != f"{scheme}://{host}".lower():
            return HTTPStatus.FORBIDDEN, "the request comes from another site"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return HTTPStatus.FORBIDDEN, "the request comes from another site"
        if scope["type"] == "http":
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MAX_BODY_BYTES:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY_BYTES} bytes"
            # A form of another site cannot send JSON without a CORS preflight.
            if headers.get("content-type", "application/json").partition(";")[0] != "application/json":
                return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON"
        return None


def _limited(receive: Receive) -> Receive:
    """End a body without a length that grows too large."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if message["type"] == "http.request" and taken > MAX_BODY_BYTES:
            # Not a Problem: FastAPI turns any other error into a 400 while it reads the body.
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY_BYTES} bytes"
            )
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return with_headers


def account_of(connection: HTTPConnection) -> Account | None:
    """Return the account of a request; None if it must log in first.

    Without any account everybody may look, but only where the page is for this PC alone.
    """
    accounts: Accounts = connection.app.state.accounts
    token = connection.cookies.get(COOKIE)
    found = accounts.of_session(token) if token else None
    if found is not None:
        return found
    return NOBODY if connection.app.state.open and not accounts.exist() else None


def needs(role: Role) -> Callable[[Request], Account]:
    """Return a dependency that refuses accounts without this role."""

    def who(request: Request) -> Account:
        account = account_of(request)
        if account is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "log in first")
        if account is NOBODY and role is not Role.VIEWER:
            raise Problem(
                HTTPStatus.FORBIDDEN, "nothing can be changed without an account: `inspector user add` makes one"
            )
        if not account.role.may(role):
            raise Problem(HTTPStatus.FORBIDDEN, f"needs the role {role}, {account.name} is {account.role}")
        return account

    return who


def may_see(websocket: WebSocket) -> bool:
    """Whether the account behind a WebSocket may see the page."""
    return account_of(websocket) is not None
