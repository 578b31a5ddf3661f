"""What decide tells of the line to this PC alone: /healthz, /metrics, and /status for `inspector status`.

The loop lays down how the line stands a few times a second; whoever asks reads the newest. So no question waits
for the verdicts, no verdict waits for a question, and a loop that hangs is seen by the age of what it laid down.
"""

import shutil
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final, Self

import msgspec
import structlog

from inspector import __version__
from inspector.config import HealthSettings
from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.stages.line_state import LineState, findings

LOOPBACK: Final = "127.0.0.1"

REQUEST_S: Final = 2.0
"""A client that is slower than this with its question is hung up on."""

STOP_S: Final = 0.3
"""A question that is being answered at the end is left to the end of the process."""

TURN_S: Final = 0.1
"""How soon the thread sees that it is to stop."""

log = structlog.get_logger()


class HealthServer:
    """Answers in a thread of its own, one question at a time: a storm of them costs one thread."""

    def __init__(self, settings: HealthSettings, out: Path) -> None:
        with needs_extra("/metrics"):
            import prometheus_client  # noqa: F401  # found missing now, not at the first scrape
        self._out = out
        self.state: LineState | None = None
        """The newest; whole whenever it is read."""
        server = self

        class Handler(_Handler):
            health = server

        try:
            self._http = _LoopbackServer((LOOPBACK, settings.port), Handler)
        except OSError as error:
            raise InputError(
                f"health.port: {settings.port} cannot be listened on: {error.strerror}: give another port"
            ) from None
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(TURN_S,), name="health", daemon=True
        )

    def __enter__(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering."""
        stopping = threading.Thread(target=self._http.shutdown, daemon=True)
        stopping.start()
        stopping.join(STOP_S)
        self._http.server_close()

    def status(self) -> dict[str, Any]:
        """How the line stands, with what is known at this moment only."""
        state, now_ns = self.state, time.monotonic_ns()
        wrong = findings(state, now_ns)
        return {
            "healthy": not wrong,
            "findings": wrong,
            "age_s": None if state is None else round((now_ns - state.taken_ns) / 1e9, 3),
            "disk_free_bytes": self.disk_free_bytes(),
            "line": state,
        }

    def disk_free_bytes(self) -> int | None:
        """Free space where the results go; None while the folder cannot be asked."""
        try:
            return shutil.disk_usage(self._out).free
        except OSError:
            return None


class _LoopbackServer(HTTPServer):
    def server_bind(self) -> None:
        """Without the look-up of this PC's name, which waits for a name server that may not be there."""
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # socketserver's
        """Somebody who leaves before the answer is no news; anything else is."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("question not answered", error=repr(error))


class _Handler(BaseHTTPRequestHandler):
    """One question."""

    health: HealthServer
    timeout = REQUEST_S
    server_version = f"strip-inspector/{__version__}"

    def do_GET(self) -> None:  # http.server's name
        """The three paths there are."""
        match self.path.partition("?")[0]:
            case "/healthz":
                wrong = findings(self.health.state, time.monotonic_ns())
                code = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                text = "\n".join(wrong or ["ok"]) + "\n"
                self._answer(code, "text/plain; charset=utf-8", text.encode())
            case "/metrics":
                from inspector.processes.metrics import CONTENT_TYPE, exposition

                state, now_ns = self.health.state, time.monotonic_ns()
                self._answer(HTTPStatus.OK, CONTENT_TYPE, exposition(state, now_ns, self.health.disk_free_bytes()))
            case "/status":
                self._answer(HTTPStatus.OK, "application/json", msgspec.json.encode(self.health.status()))
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is /healthz, /metrics and /status\n")

    def _answer(self, code: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """A scrape every few seconds is no news."""
        log.debug("asked", question=format % args)
