"""Changes of the line's health: decide is asked, and each change is stored under a number."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import structlog

from inspector.errors import WorkError
from inspector.files import write_whole
from inspector.monitoring.client import Status, alarm_key, ask, is_starting
from inspector.outbound.stream import HEALTH, Step
from inspector.repeated import Repeated

HEALTH_NAME: Final = "health.jsonl"

ASK_EVERY_S: Final = 1.0
"""How often decide is asked, seconds."""

ANSWER_S: Final = 2.0
"""Longest wait for its answer, seconds."""

KEPT_CHANGES: Final = 10_000
"""Changes kept on disk, about 3 MB; at twice as many, the older half is deleted."""

log = structlog.get_logger()

State = Literal["healthy", "unhealthy", "starting", "down"]


class HealthChange(msgspec.Struct, frozen=True):
    """The line's health from a moment on."""

    number: int
    """1, 2, 3, …"""
    at_ns: int
    """When it was seen, ns since 1970."""
    state: State
    findings: tuple[str, ...]
    """What is wrong, one line each, as `inspector status` says it."""
    recipe: str = ""
    engine: str = ""
    """Name and content hash; empty while decide does not answer."""


class Health:
    """Watches the line, and is the stream of its changes."""

    name = HEALTH

    def __init__(self, folder: Path, port: int) -> None:
        """Raises OSError."""
        self._path, self._port = folder / HEALTH_NAME, port
        self._lock = threading.Lock()
        self._changes = _read(self._path)
        self._number = 0
        self._unwritten = Repeated()
        self.status: Status | None = None
        """decide's newest answer; None while it does not answer."""
        self.now: HealthChange | None = None
        """The health since the last question; None before the first one of this start."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking."""
        self._stopped.set()
        self._thread.join()

    @property
    def newest(self) -> HealthChange | None:
        """The health now; None before the first answer."""
        with self._lock:
            return self._changes[-1] if self._changes else None

    def seek(self, position: Any) -> None:
        """Continue after the change with this number; None begins with the health now."""
        with self._lock:
            last = self._changes[-1].number if self._changes else 0
            # After the file was deleted, numbers begin at 1 again.
            self._number = last - 1 if position is None else min(msgspec.convert(position, int), last)

    def position(self) -> Any:
        """Number of the last change that was read."""
        return self._number

    def read(self, most: int) -> Sequence[Step]:
        """Return the changes since."""
        with self._lock:
            found = [each for each in self._changes if each.number > self._number][:most]
        if found:
            self._number = found[-1].number
        return [Step(self.name, each.number, each) for each in found]

    def _run(self) -> None:
        while True:
            try:
                self.status = ask(self._port, ANSWER_S)[1]
                self.note(*_told(self.status))
            except WorkError as error:
                self.status = None
                self.note("down", (str(error),))
            if self._stopped.wait(ASK_EVERY_S):
                return

    def note(self, state: State, findings: Sequence[str], recipe: str = "", engine: str = "") -> None:
        """Write the health down if it has changed; other numbers in a finding are not a change."""
        with self._lock:
            last = self._changes[-1] if self._changes else None
            if last is not None and _key(last.state, last.findings) == _key(state, findings):
                self.now = last
                return
            number = last.number + 1 if last is not None else 1
            change = HealthChange(number, time.time_ns(), state, tuple(findings), recipe, engine)
            try:
                self._write(change)
            except OSError as error:
                if (count := self._unwritten.due()) is not None:
                    log.error(
                        "a change of health cannot be written",
                        path=str(self._path), error=error.strerror, count=count,
                    )  # fmt: skip
                return
            self._changes.append(change)
            self.now = change

    def _write(self, change: HealthChange) -> None:
        if len(self._changes) >= 2 * KEPT_CHANGES:
            del self._changes[:-KEPT_CHANGES]
            write_whole(self._path, b"".join(msgspec.json.encode(each) + b"\n" for each in self._changes))
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(change) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _told(status: Status) -> tuple[State, tuple[str, ...], str, str]:
    line = status.line
    identities = (line.recipe, line.engine) if line is not None else ("", "")
    if is_starting(status) and not status.healthy:
        return ("starting", (), *identities)
    return ("healthy" if status.healthy else "unhealthy", tuple(status.findings), *identities)


def _key(state: str, findings: Sequence[str]) -> tuple[str, frozenset[str]]:
    return state, frozenset(alarm_key(each) for each in findings)


def _read(path: Path) -> list[HealthChange]:
    """The changes on disk; a line that a power cut left damaged is left out."""
    decoder, changes = msgspec.json.Decoder(HealthChange), []
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    for line in content.splitlines():
        try:
            changes.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            log.warning("a line of the health's log is left out", path=str(path), error=str(error))
    if content and not content.endswith(b"\n"):
        write_whole(path, b"".join(msgspec.json.encode(each) + b"\n" for each in changes))
    return changes
