"""The stages of a line as children of this process: started, listened to, stopped."""

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

from inspector.config.line import RECORDS_URL
from inspector.runtime.notify import READY, STATUS, NotifyListener
from inspector.supervisor.table import Process

_TURN_S: Final = 0.25
"""A stage that says something or ends is heard of at once; this is for what is bounded in time."""


class Readable(Protocol):
    """What can be polled."""

    def fileno(self) -> int:
        """Its descriptor."""


@dataclass(slots=True, eq=False)
class Child:
    """One started stage."""

    process: Process
    camera: str | None
    popen: "subprocess.Popen[bytes]"
    pidfd: int
    """Polls readable once it has ended."""
    listener: NotifyListener
    told: dict[str, str] = field(default_factory=dict)
    asked_to_stop: bool = False
    vital: bool = True
    """The line ends when it does; not so a worker on trial, or one that another has taken over from."""

    @property
    def name(self) -> str:
        """The stage's name, with its camera where it has one."""
        return self.process.name if self.camera is None else f"{self.process.name} of camera {self.camera}"

    @property
    def ready(self) -> bool:
        """It has said so."""
        return READY in self.told

    @property
    def ended(self) -> bool:
        """Whether it is gone, for better or worse."""
        return self.popen.poll() is not None

    def died(self) -> str | None:
        """How it ended, when it ended badly."""
        code = self.popen.poll()
        if code is None or code == 0:
            return None
        if code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"

    @property
    def last_words(self) -> str:
        """Why it ended, in its own words where it had any."""
        return self.told.get(STATUS, "").removeprefix("stopped: ") or self.died() or f"{self.name} ended by itself"

    def terminate(self) -> None:
        """Ask it to stop, once: a second SIGTERM would kill a stage that is on its way out."""
        if not self.ended and not self.asked_to_stop:
            self.asked_to_stop = True
            self.popen.terminate()


class Children:
    """`config` is a resolved config file, `identity` the name and hash of the one it was made from; `folder` is
    private to this run."""

    def __init__(self, config: Path, identity: str, folder: Path) -> None:
        self._config, self._identity, self._folder = config, identity, folder
        self._selector = selectors.DefaultSelector()
        self._count = 0
        self.all: list[Child] = []

    def start(self, process: Process, *, camera: str | None = None, engine: Path | None = None) -> Child:
        """Start a stage; it has not said anything yet."""
        listener = NotifyListener(self._folder / f"notify-{self._count}")
        self._count += 1
        command = [sys.executable, "-m", "inspector", process.name, "--config", str(self._config)]
        if camera is not None:
            command += ["--camera", camera]
        if engine is not None:
            command += ["--engine", str(engine)]
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
        child = Child(process, camera, popen, os.pidfd_open(popen.pid), listener)
        self.all.append(child)
        self.watch(listener, lambda: child.told.update(listener.receive()))
        self.wake_once(child.pidfd)
        return child

    def watch(self, source: Readable, on_readable: Callable[[], None]) -> None:
        """Have `listen` look at something else too."""
        self._selector.register(source, selectors.EVENT_READ, on_readable)

    def unwatch(self, source: Readable | int) -> None:
        """Take back `watch`."""
        self._selector.unregister(source)

    def wake_once(self, source: Readable | int) -> None:
        """Have `listen` come back as soon as this is readable, which it will stay."""
        self._selector.register(source, selectors.EVENT_READ, lambda: self.unwatch(source))

    def listen(self) -> None:
        """Take what the stages tell, waiting a moment for it."""
        for key, _ in self._selector.select(_TURN_S):
            key.data()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Listen until then, or until the time is up."""
        until_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until_s:
            self.listen()

    def of(self, process: Process) -> list[Child]:
        """The children of one kind, oldest first."""
        return [child for child in self.all if child.process is process]

    def ended(self, process: Process | None = None) -> bool:
        """Whether all, or all of one kind, are gone."""
        return all(child.ended for child in self.all if process in (None, child.process))

    def terminate(self, process: Process) -> None:
        """Ask all of one kind to stop."""
        for child in self.of(process):
            child.terminate()

    def forget(self, child: Child) -> None:
        """Its end is no news to anybody; it is killed where it has not come to it."""
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
        """Forget all."""
        for child in list(self.all):
            self.forget(child)
        self._selector.close()
