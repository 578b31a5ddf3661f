"""systemd's notification protocol (sd_notify(3)): every process sends it, and `inspector run` receives it."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

READY: Final = "READY"
STATUS: Final = "STATUS"
"""One line of status text; the last one of a failed process gives the reason."""
PROGRESS: Final = "X_INSPECTOR_PROGRESS"
"""Verdicts given, and expected frames if known: "120/400". systemd ignores keys it does not know."""
SETTLED: Final = "X_INSPECTOR_SETTLED"
"""From decide: every camera has ended and every frame has a verdict."""
CAPTURED: Final = "X_INSPECTOR_CAPTURED"

TURN_MS: Final = 500
"""Longest sleep of a loop, ms, so that it feeds the watchdog in time: a small part of any WatchdogSec=."""

FEEDS: Final = 4
"""Watchdog messages per watchdog interval while there is progress, so that a missed one does no harm."""

STATUS_INTERVAL_S: Final = 1.0


class Notifier:
    """Sends this process's state to the process that started it; does nothing without NOTIFY_SOCKET."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def tell(self, **state: str) -> None:
        """Send assignments such as READY="1"; ignores a closed listener, which must not stop a line."""
        if self._socket is None:
            return
        message = "\n".join(f"{key}={value}" for key, value in state.items())
        try:
            self._socket.send(message.encode())
        except OSError:
            self.close()

    def close(self) -> None:
        """Stop sending."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Pulse:
    """Reports a loop's progress once per turn, and feeds systemd's watchdog.

    Only this class feeds the watchdog, never a timer: after progress, or when no work is pending. systemd kills
    and restarts a process whose loop hangs or whose pending work does not move.
    """

    def __init__(self, notifier: Notifier, unit: str) -> None:
        self._notifier, self._unit = notifier, unit
        self._feed_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / FEEDS
        self._fed_at_s = self._told_at_s = float("-inf")
        self._fed_at_done = self._told_at_done = 0

    def turn(self, done: int, *, pending: bool, say: Callable[[], str]) -> None:
        """Report one turn.

        `done` only increases, `pending` says whether work is pending, and `say` returns the text for `systemctl
        status`; it is called about once a second.
        """
        now_s = time.monotonic()
        if now_s - self._fed_at_s >= self._feed_s and (not pending or done != self._fed_at_done):
            self._fed_at_s, self._fed_at_done = now_s, done
            if self._feed_s:
                self._notifier.tell(WATCHDOG="1")
        if now_s - self._told_at_s >= STATUS_INTERVAL_S:
            rate = (done - self._told_at_done) / (now_s - self._told_at_s)
            self._told_at_s, self._told_at_done = now_s, done
            self._notifier.tell(STATUS=f"{rate:.1f} {self._unit}/s, {say()}")

    def held_up(self, by: str) -> None:
        """Feed the watchdog while the link to `by` is full: a restart would lose the pending work.

        `by` has a watchdog, too.
        """
        self.turn(self._told_at_done, pending=False, say=lambda: f"waiting: {by} takes no more messages")


class NotifyListener:
    """Receives one process's messages, for `inspector run`."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self.address))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable while a message waits."""
        return self._socket.fileno()

    def receive(self) -> dict[str, str]:
        """All assignments received since the last call, the newest of each key."""
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
        """Close and remove the socket."""
        self._socket.close()
        self.address.unlink(missing_ok=True)
