"""The processes of a line as children of this process: start, listen, stop."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from inspector.config.sinks import RECORDS_URL
from inspector.runtime.notify import READY, STATUS, NotifyListener
from inspector.supervisor.table import Process

_TURN_S: Final = 0.25
"""Longest wait in `listen`, seconds. A message or an exit wakes it at once; time limits are checked this often."""


class Readable(Protocol):
    """An object with a descriptor to poll."""

    def fileno(self) -> int:
        """The descriptor."""


@dataclass(slots=True, eq=False)
class Child:
    """One started process."""

    process: Process
    camera: str | None
    popen: "subprocess.Popen[bytes]"
    pidfd: int
    """Readable once the process has ended."""
    listener: NotifyListener
    told: dict[str, str] = field(default_factory=dict)
    asked_to_stop: bool = False
    vital: bool = True
    """Whether the line ends with it. False for a worker on trial and for one that has been replaced."""

    @property
    def name(self) -> str:
        """The process name, plus the camera of a per-camera process."""
        return self.process.name if self.camera is None else f"{self.process.name} of camera {self.camera}"

    @property
    def ready(self) -> bool:
        """Whether it has reported READY."""
        return READY in self.told

    @property
    def ended(self) -> bool:
        """Whether it has exited, with any exit code."""
        return self.popen.poll() is not None

    def died(self) -> str | None:
        """How it failed, as text; None while it runs or after exit code 0."""
        code = self.popen.poll()
        if code is None or code == 0:
            return None
        if code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"

    @property
    def last_words(self) -> str:
        """Why it ended: its last status message if it sent one, else its exit code."""
        return self.told.get(STATUS, "").removeprefix("stopped: ") or self.died() or f"{self.name} ended by itself"

    def terminate(self) -> None:
        """Send SIGTERM once: a second one would kill a process that is shutting down."""
        if not self.ended and not self.asked_to_stop:
            self.asked_to_stop = True
            self.popen.terminate()


class Children:
    """Starts, watches and stops the processes of one run.

    `config` is a resolved config file; `identity` is the name and hash of the original. `folder` is private to
    this run.
    """

    def __init__(self, config: Path, identity: str, folder: Path) -> None:
        self._config, self._identity, self._folder = config, identity, folder
        self._selector = selectors.DefaultSelector()
        self._count = 0
        self.all: list[Child] = []

    def start(self, process: Process, *, camera: str | None = None, engine: Path | None = None) -> Child:
        """Start a process and return at once, before it is ready."""
        listener = NotifyListener(self._folder / f"notify-{self._count}")
        self._count += 1
        command = [sys.executable, "-m", "inspector", process.name, "--config", str(self._config)]
        if camera is not None:
            command += ["--camera", camera]
        if engine is not None:
            command += ["--engine", str(engine)]
        command += ["--child-of", str(os.getpid()), "--identity", self._identity]
        # The config already includes the INSPECTOR_… settings, so the child must not apply them again. The
        # database URL was resolved without its password, so the child needs that variable.
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("INSPECTOR_") or key in ("INSPECTOR_LOG_LEVEL", RECORDS_URL)
        }
        # The summary reports success; the terminal shows progress and failures only.
        environment.setdefault("INSPECTOR_LOG_LEVEL", "warning")
        environment["NOTIFY_SOCKET"] = str(listener.address)
        # In a new session, so that Ctrl-C reaches only this process, which then stops the children in order.
        popen = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        child = Child(process, camera, popen, os.pidfd_open(popen.pid), listener)
        self.all.append(child)
        self.watch(listener, lambda: child.told.update(listener.receive()))
        self.wake_once(child.pidfd)
        return child

    def watch(self, source: Readable, on_readable: Callable[[], None]) -> None:
        """Make `listen` call `on_readable` whenever `source` is readable."""
        self._selector.register(source, selectors.EVENT_READ, on_readable)

    def unwatch(self, source: Readable | int) -> None:
        """Undo `watch`."""
        self._selector.unregister(source)

    def wake_once(self, source: Readable | int) -> None:
        """Make `listen` return once when `source` becomes readable; the source then stays readable."""
        self._selector.register(source, selectors.EVENT_READ, lambda: self.unwatch(source))

    def listen(self) -> None:
        """Handle messages and exits; wait up to _TURN_S for the first."""
        for key, _ in self._selector.select(_TURN_S):
            key.data()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Listen until the condition holds or the time is up."""
        until_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until_s:
            self.listen()

    def of(self, process: Process) -> list[Child]:
        """The children of one kind, oldest first."""
        return [child for child in self.all if child.process is process]

    def ended(self, process: Process | None = None) -> bool:
        """Whether all children, or all of one kind, have ended."""
        return all(child.ended for child in self.all if process in (None, child.process))

    def terminate(self, process: Process) -> None:
        """Send SIGTERM to all children of one kind."""
        for child in self.of(process):
            child.terminate()

    def forget(self, child: Child) -> None:
        """Remove a child and kill it if it still runs; its end no longer affects the line."""
        if not child.ended:
            child.popen.kill()
        child.popen.wait()
        self.unwatch(child.listener)
        child.listener.close()
        if child.pidfd in self._selector.get_map():
            self.unwatch(child.pidfd)
        os.close(child.pidfd)
        self.all.remove(child)

    def close(self) -> None:
        """Remove all children."""
        for child in list(self.all):
            self.forget(child)
        self._selector.close()
