"""systemd's notification protocol, spoken by every stage and understood by `inspector run` (see sd_notify(3))."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

READY: Final = "READY"
STATUS: Final = "STATUS"
"""One line for people; the last one of a stage that failed says why."""
PROGRESS: Final = "X_INSPECTOR_PROGRESS"
"""Verdicts given, and frames expected where that is known: "120/400". systemd ignores keys it does not know."""
SETTLED: Final = "X_INSPECTOR_SETTLED"
"""decide: every camera has ended and every frame has its verdict."""
CAPTURED: Final = "X_INSPECTOR_CAPTURED"

TURN_MS: Final = 500
"""Longest a loop sleeps, so that it proves in time that it still turns: a small part of any WatchdogSec=."""

FEEDS: Final = 4
"""Times the watchdog is fed within its own time, where there is progress: one that is missed does no harm."""

STATUS_INTERVAL_S: Final = 1.0


class Notifier:
    """Tells whoever started this process how it is doing; says nothing where nobody listens."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def tell(self, **state: str) -> None:
        """Send assignments such as READY="1"; a listener that has gone is no reason to stop a line."""
        if self._socket is None:
            return
        message = "\n".join(f"{key}={value}" for key, value in state.items())
        try:
            self._socket.send(message.encode())
        except OSError:
            self.close()

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Pulse:
    """What a loop tells once a turn: how much it has done, and whether something is owed that must move.

    systemd's watchdog is fed from here and from nowhere else, never by a timer: after progress, or when the loop
    has just seen that it owes nothing. A loop that does not come round, or that holds work which does not move,
    is killed and started again.
    """

    def __init__(self, notifier: Notifier, unit: str) -> None:
        self._notifier, self._unit = notifier, unit
        self._feed_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / FEEDS
        self._fed_at_s = self._told_at_s = float("-inf")
        self._fed_at_done = self._told_at_done = 0

    def turn(self, done: int, *, owed: bool, say: Callable[[], str]) -> None:
        """`done` counts up for ever; `say` is asked about once a second, for `systemctl status`."""
        now_s = time.monotonic()
        if now_s - self._fed_at_s >= self._feed_s and (not owed or done != self._fed_at_done):
            self._fed_at_s, self._fed_at_done = now_s, done
            if self._feed_s:
                self._notifier.tell(WATCHDOG="1")
        if now_s - self._told_at_s >= STATUS_INTERVAL_S:
            rate = (done - self._told_at_done) / (now_s - self._told_at_s)
            self._told_at_s, self._told_at_done = now_s, done
            self._notifier.tell(STATUS=f"{rate:.1f} {self._unit}/s, {say()}")

    def held_up(self, by: str) -> None:
        """The link to `by` has just refused a message: what is owed is safe here, and a restart would lose it.

        `by` has a watchdog of its own.
        """
        self.turn(self._told_at_done, owed=False, say=lambda: f"held up: {by} takes no more")


class NotifyListener:
    """The other end, for `inspector run`: collects what the stages tell."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self.address))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def receive(self) -> dict[str, str]:
        """All assignments that have come, the newest of each key."""
        told: dict[str, str] = {}
        while True:
            try:
                text = self._socket.recv(4096).decode(errors="replace")
            except BlockingIOError:
                return told
            for line in text.splitlines():
                key, _, value = line.partition("=")
                told[key] = value

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self.address.unlink(missing_ok=True)
