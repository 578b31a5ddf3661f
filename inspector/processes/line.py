"""The whole line as children of one process, for a desk, a test or a replay; systemd does this on a plant's PC.

It starts, watches and stops; it restarts nothing. A stage that dies ends the line, with every announced frame
accounted for.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from inspector.config import RECORDS_URL
from inspector.errors import InputError, InspectorError, WorkError
from inspector.processes import DECIDE, INGEST, PROCESSES, WORKER, Process
from inspector.processes.notify import PROGRESS, READY, SETTLED, NotifyListener
from inspector.processes.stop import StopRequest

START_TIMEOUT_S: Final = 120.0
"""A large engine compiles for tens of seconds on its first start on a PC."""

SETTLE_S: Final = 0.4
"""After Ctrl-C, results that are on their way have this long before the worker and decide are stopped."""

STOP_S: Final = 1.3
"""After that, a stage that has not left is killed: Ctrl-C ends the line within two seconds."""

FINISH_S: Final = 60.0
"""A run that ends by itself has the time it takes to draw and write the last pictures, on a slow disk too."""

CLOSE_BOOKS_S: Final = 10.0
"""A decide that died is started once more for as long as it takes to account for what was announced."""

_TURN_S: Final = 0.05

log = structlog.get_logger()

OnProgress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Child:
    """One started stage."""

    process: Process
    camera: str | None
    popen: "subprocess.Popen[bytes]"
    listener: NotifyListener
    told: dict[str, str] = field(default_factory=dict)
    asked_to_stop: bool = False
    """Once is enough: a second SIGTERM would kill a stage that is on its way out."""

    @property
    def name(self) -> str:
        """The stage's name, with its camera where it has one."""
        return self.process.name if self.camera is None else f"{self.process.name} of camera {self.camera}"

    def died(self) -> str | None:
        """How it ended, when it ended badly."""
        code = self.popen.poll()
        if code is None or code == 0:
            return None
        if code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"


class Line:
    """Runs a line from start to end. `config` is a resolved config file, `identity` the name and hash of
    the one it was made from; `folder` is private to this run."""

    def __init__(
        self, config: Path, identity: str, cameras: list[str], folder: Path, on_progress: OnProgress
    ) -> None:
        self._config, self._identity = config, identity
        self._cameras, self._folder = cameras, folder
        self._on_progress = on_progress
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._failure: str | None = None

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by stage, for those who measure memory."""
        return {child.name: child.popen.pid for child in self._children}

    def run(self, stop: StopRequest) -> bool:
        """Start all stages, run until the sources end or a stop is asked for, and stop all.

        Returns whether the line was stopped before its sources ended. Raises InputError when a stage refused
        to start, WorkError when one died.
        """
        try:
            self._start_ready([DECIDE, WORKER], stop)
            if not stop:
                self._start_ready([INGEST], stop)
            self._watch(stop)
        finally:
            self._finish(stop)
        if self._failure is not None:
            raise WorkError(f"{self._failure}: the line was stopped; every announced frame has its verdict")
        return bool(stop)

    def _start_ready(self, processes: list[Process], stop: StopRequest) -> None:
        started = [
            self._start(process, camera)
            for process in processes
            for camera in (self._cameras if process.per_camera else [None])
        ]
        until_s = time.monotonic() + START_TIMEOUT_S
        while not stop and not all(READY in child.told for child in started):
            self._listen()
            for child in started:
                if READY not in child.told and child.popen.poll() is not None:
                    code = child.popen.returncode
                    failed: type[InspectorError] = InputError if code == InputError.exit_code else WorkError
                    raise failed(f"{child.name} did not start: its reason stands above")
            if time.monotonic() > until_s:
                raise WorkError(
                    f"the line was not ready within {START_TIMEOUT_S:.0f} s: see the log of its stages"
                )

    def _start(self, process: Process, camera: str | None) -> Child:
        listener = NotifyListener(self._folder / f"notify-{len(self._children)}")
        command = [sys.executable, "-m", "inspector", process.name, "--config", str(self._config)]
        if camera is not None:
            command += ["--camera", camera]
        command += ["--child-of", str(os.getpid()), "--identity", self._identity]
        # The config was resolved with the environment's settings; they must not be laid over it again. The
        # database's URL was resolved without its password.
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("INSPECTOR_") or key in ("INSPECTOR_LOG_LEVEL", RECORDS_URL)
        }
        # What went well is the summary's to say; the terminal shows progress and what went wrong.
        environment.setdefault("INSPECTOR_LOG_LEVEL", "warning")
        environment["NOTIFY_SOCKET"] = str(listener.address)
        # A session of its own: Ctrl-C on the terminal reaches this process alone, which stops them in order.
        popen = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        child = Child(process, camera, popen, listener)
        self._children.append(child)
        self._selector.register(listener, selectors.EVENT_READ, child)
        return child

    def _watch(self, stop: StopRequest) -> None:
        """Until all sources have ended and all frames are settled, a stop is asked for, or a stage dies."""
        ingests = self._of(INGEST)
        while not stop:
            self._listen()
            for child in self._children:
                how = child.died()
                if how is None and child.popen.poll() == 0 and child.process is not INGEST:
                    how = f"{child.name} ended by itself"
                if how is not None:
                    self._failure = how
                    return
            ended = all(child.popen.poll() == 0 for child in ingests)
            if ended and self._settled():
                return

    def _listen(self) -> None:
        """Take what the stages tell, waiting a moment for it."""
        for key, _ in self._selector.select(_TURN_S):
            child: Child = key.data
            child.told.update(child.listener.receive())
            if child.process is DECIDE and PROGRESS in child.told:
                done, _, total = child.told[PROGRESS].partition("/")
                self._on_progress(int(done), int(total) if total else None)

    def _finish(self, stop: StopRequest) -> None:
        """Stop ingest first, so that nothing new comes; then the worker; decide last."""
        self._terminate(INGEST)
        if any(child.died() for child in self._of(DECIDE)) and self._failure is not None:
            self._close_books()
        elif self._of(DECIDE):
            if stop:
                self._wait_until(lambda: self._ended(INGEST) and self._settled(), SETTLE_S)
            self._terminate(WORKER)
            self._wait_until(lambda: self._ended(WORKER) and self._ended(INGEST), STOP_S / 2)
        for process in reversed(PROCESSES):
            self._terminate(process)
        # Only a run that ends by itself may take its time over the last pictures.
        self._wait_until(lambda: self._left() or bool(stop) or self._failure is not None, FINISH_S)
        self._wait_until(self._left, STOP_S)
        for child in self._children:
            if child.popen.poll() is None:
                log.error("stage did not stop: killed", stage=child.name)
                child.popen.kill()
            child.popen.wait()
            if self._failure is None:
                self._failure = child.died()
            child.listener.close()
        self._selector.close()

    def _close_books(self) -> None:
        """decide died: a new one reads what was written, and takes the rest of the announcements from ingest."""
        log.error("decide died: started again to account for what was announced")
        self._terminate(WORKER)
        successor = self._start(DECIDE, None)
        self._wait_until(
            lambda: (
                successor.popen.poll() is not None or (self._ended(INGEST) and successor.told.get(SETTLED) == "1")
            ),
            CLOSE_BOOKS_S,
        )

    def _left(self) -> bool:
        return all(child.popen.poll() is not None for child in self._children)

    def _settled(self) -> bool:
        return self._of(DECIDE)[-1].told.get(SETTLED) == "1"

    def _ended(self, process: Process) -> bool:
        return all(child.popen.poll() is not None for child in self._of(process))

    def _of(self, process: Process) -> list[Child]:
        return [child for child in self._children if child.process is process]

    def _terminate(self, process: Process) -> None:
        for child in self._of(process):
            if child.popen.poll() is None and not child.asked_to_stop:
                child.asked_to_stop = True
                child.popen.terminate()

    def _wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        until_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until_s:
            self._listen()
