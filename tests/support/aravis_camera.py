"""Aravis' fake GigE Vision camera on the loopback interface, the same that `arv-fake-gv-camera-0.8` starts.

As a program: `python aravis_camera.py SERIAL LOST_PER_THOUSAND` runs it until it is killed.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from inspector.sources.genicam.library import aravis

LOCK = Path(tempfile.gettempdir()) / "aravis-fake-camera.lock"
"""It answers on the protocol's one port, so that one at a time can run on a PC."""

LEVELS = 255
"""The pixel at row y and column x of frame n has grey level (x + y + n) % 255."""


class AravisCamera:
    """The fake camera as a process that can be killed and started again."""

    def __init__(self, lost_per_thousand: float) -> None:
        self._serial, self._lost = f"P{os.getpid()}", lost_per_thousand
        self.device = f"Aravis-Fake-{self._serial}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns once it answers."""
        command = [sys.executable, __file__, self._serial, str(self._lost)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        """End it without a word to its user."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextlib.contextmanager
def aravis_camera(lost_per_thousand: float) -> Iterator[AravisCamera]:
    """A running camera, once no other test has one."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        camera = AravisCamera(lost_per_thousand)
        camera.start()
        try:
            yield camera
        finally:
            camera.kill()


if __name__ == "__main__":
    fake = aravis().GvFakeCamera.new("127.0.0.1", sys.argv[1])
    fake.set_property("gvsp-lost-ratio", float(sys.argv[2]) / 1000)
    while not fake.is_running():
        time.sleep(0.01)
    print("ready", flush=True)
    signal.pause()
