"""What decide tells of the line to this PC alone: /healthz, /metrics, and /status for `inspector status`.

The loop lays down how the line stands a few times a second; whoever asks reads the newest. So no question waits
for the verdicts, no verdict waits for a question, and a loop that hangs is seen by the age of what it laid down.
"""

import shutil
import sys
import threading
import time
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import structlog

from inspector import __version__
from inspector.config import HealthSettings, LoadedConfig
from inspector.errors import InputError
from inspector.extras import needs_service_extra
from inspector.stages.line_state import CameraState, FrameCount, LineState, WorkerState, findings
from inspector.stages.meters import Meters
from inspector.values import Decision

if TYPE_CHECKING:
    from inspector.processes.decide import Camera, Decide
    from inspector.sinks import Sinks

LOOPBACK: Final = "127.0.0.1"

LOOK_NS: Final = 200_000_000
"""How often the loop lays down how the line stands."""

RATE_LOOKS: Final = 25
"""Looks that a rate is taken over: five seconds."""

REQUEST_S: Final = 2.0
"""A client that is slower than this with its question is hung up on."""

STOP_S: Final = 0.3
"""A question that is being answered at the end is left to the end of the process."""

TURN_S: Final = 0.1
"""How soon the thread sees that it is to stop."""

log = structlog.get_logger()


class Watch:
    """Puts together how the line stands; costs nothing where nobody can ask."""

    def __init__(self, config: LoadedConfig, recipe: str, engine: str, health: "HealthServer | None") -> None:
        self._config, self._recipe, self._engine, self._health = config, recipe, engine, health
        self._started_s = time.time()
        self._next_ns = 0
        self._looks: deque[tuple[int, dict[str, int]]] = deque(maxlen=RATE_LOOKS)

    def look(self, decide: "Decide", sinks: "Sinks", now_ns: int) -> None:
        """Once every turn of the loop; does something only when it is due."""
        if self._health is None or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + LOOK_NS
        self._looks.append((now_ns, {name: camera.captured for name, camera in decide.cameras.items()}))
        self._health.state = self.state(decide, sinks, now_ns)

    def state(self, decide: "Decide", sinks: "Sinks", now_ns: int) -> LineState:
        """How the line stands now."""
        line, meters = self._config.line, decide.meters
        silent = decide.silent(now_ns)
        frames = tuple(FrameCount(*key, count) for key, count in meters.frames.items())
        return LineState(
            taken_ns=now_ns,
            started_s=self._started_s,
            version=__version__,
            config=self._config.identity,
            recipe=self._recipe,
            engine=self._engine,
            deadline_ms=line.deadline_ms,
            out=str(line.sinks.out),
            cameras={
                name: self._camera(name, camera, meters, silent=name in silent, now_ns=now_ns)
                for name, camera in decide.cameras.items()
            },
            frames=frames,
            stages={stage: histogram.state() for stage, histogram in meters.stages.items()},
            batches=meters.batches.state(),
            worker=WorkerState(
                starts=len(meters.workers),
                waiting=meters.worker_waiting,
                unanswered_s=_age_s(decide.unanswered_ns, now_ns),
                engine=meters.engine,
            ),
            refused=decide.refused,
            sinks=sinks.state(),
            gate=sinks.gate.state() if sinks.gate is not None else None,
        )

    def _camera(self, name: str, camera: "Camera", meters: Meters, *, silent: bool, now_ns: int) -> CameraState:
        counts = dict.fromkeys(Decision, 0)
        shed = 0
        for (of, decision, reason), count in meters.frames.items():
            if of == name:
                counts[decision] += count
                shed += count if reason == "shed" else 0
        return CameraState(
            captured=camera.captured,
            accepted=counts[Decision.ACCEPT],
            rejected=counts[Decision.REJECT],
            uninspected=counts[Decision.UNINSPECTED],
            owed=len(camera.ledger),
            late=camera.late,
            shed=shed,
            begins=meters.begins[name],
            frames_per_second=self._rate(name),
            last_frame=camera.ledger.expected - 1 if camera.ledger.expected else None,
            last_verdict_s=_age_s(camera.last_verdict_ns, now_ns),
            heard_s=_age_s(camera.heard_ns, now_ns),
            silent=silent,
            ended=camera.ended,
        )

    def _rate(self, camera: str) -> float:
        (first_ns, first), (last_ns, last) = self._looks[0], self._looks[-1]
        return (
            round((last[camera] - first[camera]) / ((last_ns - first_ns) / 1e9), 2) if last_ns > first_ns else 0.0
        )


def _age_s(since_ns: int | None, now_ns: int) -> float | None:
    return None if since_ns is None else round(max(0, now_ns - since_ns) / 1e9, 3)


class HealthServer:
    """Answers in a thread of its own, one question at a time: a storm of them costs one thread."""

    def __init__(self, settings: HealthSettings, out: Path) -> None:
        with needs_service_extra("/metrics"):
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
