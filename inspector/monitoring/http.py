"""decide's HTTP server for this PC only: /healthz, /metrics, and /status for `inspector status`.

decide's loop stores a snapshot of the line a few times a second, and a request reads the newest one. So requests
and verdicts never wait for each other, and a hung loop shows as an old snapshot.
"""

import shutil
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from inspector.config.sinks import HealthSettings
from inspector.extras import needs_extra
from inspector.monitoring.http_request import Refused, Request
from inspector.monitoring.local_server import TEXT, Answer, LocalServer
from inspector.monitoring.state import LineState, findings
from inspector.monitoring.strip_file import read_strip_state

DISK_LOOK_S: Final = 2.0
"""How often to read the free disk space, seconds. A thread does it, so a hung disk delays no response."""

DISK_STALE_S: Final = 10.0
"""Age from which a free-space figure is no longer reported, seconds."""


class HealthServer:
    """Answers monitoring programs and `inspector status`."""

    def __init__(self, settings: HealthSettings, out: Path, strip_folder: Path | None = None) -> None:
        """`out` is where the results go. `strip_folder` is where a strip process reports."""
        with needs_extra("/metrics"):
            import prometheus_client  # noqa: F401  # fail now if it is missing, not at the first scrape
        self._disk = _DiskSpace(out)
        self._strip_folder = strip_folder
        self.state: LineState | None = None
        """The newest snapshot; replaced as a whole, so a reader needs no lock."""
        self._server = LocalServer(settings.port, "health.port", self._answer)

    def __enter__(self) -> Self:
        """Start serving."""
        self._disk.start()
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._disk.stop()
        self._server.__exit__()

    def _answer(self, request: Request, _body: bytes) -> Answer:
        """The response to a path; raises Refused for an unknown path."""
        match request.path:
            case "/healthz":
                wrong = findings(self._state(), time.monotonic_ns())
                code = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                return Answer(code, TEXT, ("\n".join(wrong or ["ok"]) + "\n").encode())
            case "/metrics":
                from inspector.monitoring.prometheus import CONTENT_TYPE, exposition

                content = exposition(self._state(), time.monotonic_ns(), self.disk_free_bytes())
                return Answer(HTTPStatus.OK, CONTENT_TYPE, content)
            case "/status":
                return Answer(HTTPStatus.OK, "application/json", msgspec.json.encode(self.status()))
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
