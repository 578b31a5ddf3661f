"""A machine that the line talks to, as a separate process of a test: a PLC, a mill, a Level 2."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

START_S = 60
"""Longest start of a peer, seconds, on a busy machine."""


class Peer:
    """Starts, freezes and kills the process of a module of `tests.support`."""

    _process: "subprocess.Popen[bytes] | None" = None

    def _launch(self, module: str, *arguments: str, quiet: bool = False) -> None:
        """Start `python -m MODULE`; `quiet` drops its output, because pymodbus logs every lost connection."""
        output = subprocess.DEVNULL if quiet else None
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)

    def _wait_until(self, is_ready: Callable[[], bool]) -> None:
        until_s = time.monotonic() + START_S
        while not is_ready():
            assert not self.died(), f"{type(self).__name__} did not start"
            assert time.monotonic() < until_s, f"{type(self).__name__} not ready within {START_S} s"
            time.sleep(0.05)

    def hang(self) -> None:
        """Freeze the process: the kernel still accepts its connections, but nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue after `hang`."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill the process: its connections are reset, and new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def died(self) -> bool:
        """Whether the process has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def listens(port: int) -> bool:
    """Whether a process accepts connections at this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
