"""The operator's page for tests: a real line on the simulator, and the page's real server in front of it."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import psutil
import pytest

from inspector.backends.instant import write_engine
from tests.support.certificates import make_authority
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HEIGHT, WIDTH = 64, 160
PASSWORD = "correct horse battery"  # noqa: S105  # of the accounts that tests make
PATIENCE_S = 60.0

ROLES = ("viewer", "operator", "quality", "admin")

DEFECT_GREY = 128
"""The simulator's steel reaches it here and there, so that some frames are rejected."""


class PageUnderTest:
    """A line and its page as processes; paths and ports are the test's own."""

    def __init__(
        self, folder: Path, *, kind: str = "bright", name: str = "test", coil: str | None = None, source: str = "",
        tls: bool = False,
    ) -> None:  # fmt: skip
        self.folder, self.config, self.out = folder, folder / "line.toml", folder / "out"
        self.port, self.health = free_port(), free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            make_authority(folder, "page")
        self.trusts = ssl.create_default_context(cafile=str(folder / "page-ca.crt") if tls else None)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        write_engine(
            folder / "engine", height=HEIGHT, width=WIDTH, max_batch=4, map_stride=1, classes=("normal", kind),
            options={"defect_grey": DEFECT_GREY},
        )  # fmt: skip
        quoted = json.dumps(kind)
        (folder / "recipe.toml").write_text(
            f'name = "steel"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n'
            f"[classes.{quoted}]\nmin_area_mm2 = 4\n"
            "[picture]\nchecks = false\n"
        )
        source = source or (
            f'type = "simulator"\nheight = {HEIGHT}\nwidth = {WIDTH}\nframes_per_second = 12\ndistinct = 40\n'
            "coil_frames = 20\ndefective_share = 0.3\n"
        )
        self.config.write_text(
            f"name = {json.dumps(name)}\nengine = 'engine'\nrecipe = 'recipe.toml'\ndeadline_ms = 20000\n"
            + (f"coil = {json.dumps(coil)}\n" if coil else "")
            + f"[cameras.top]\n{source}\n[sinks]\nout = 'out'\n[records]\nenabled = true\n"
            f"[health]\nport = {self.health}\n[view]\nframes_per_second = 6\n"
            f"[page]\naddress = '127.0.0.1:{self.port}'\n"
            + ("certificate = 'page.crt'\nkey = 'page.key'\n" if tls else "")
        )

    def start(self, *names: str) -> None:
        """Start the line (`run`), the page (`serve`), or both; returns when they answer."""
        for name in names or ("run", "serve"):
            with (self.folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", "inspector", name, "--config", str(self.config)]
                self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log)
        for name in names or ("run", "serve"):
            path = f"http://127.0.0.1:{self.health}/healthz" if name == "run" else f"{self.url}/api/session"
            self.wait(lambda path=path: answers(path, self.trusts), f"{name} answers")

    def stop(self, name: str, how: signal.Signals = signal.SIGINT) -> int:
        """End the line or the page; returns its exit code."""
        process = self._processes.pop(name)
        process.send_signal(how)
        return process.wait(PATIENCE_S)

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill_decide(self) -> None:
        """Kill decide where it stands, and the parent that would end the other stages in order."""
        run = psutil.Process(self._processes["run"].pid)
        stages = run.children()
        run.kill()
        for stage in stages:
            if "decide" in stage.cmdline():
                stage.kill()

    def pid(self, name: str) -> int:
        """Process of the line or the page."""
        return self._processes[name].pid

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run another command on this line's config."""
        command = [sys.executable, "-m", "inspector", *arguments, "--config", str(self.config)]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_S)

    def add(self, name: str, role: str, password: str = PASSWORD) -> None:
        """Make an account."""
        done = self.command("user", "add", name, "--role", role, text=f"{password}\n")
        assert done.returncode == 0, done.stderr

    @contextmanager
    def client(
        self, name: str | None = None, password: str = PASSWORD, *, timeout_s: float = 30
    ) -> Iterator[httpx.Client]:
        """A client of the routes, logged in as `name`."""
        with httpx.Client(base_url=self.url, timeout=timeout_s, verify=self.trusts) as client:
            if name is not None:
                answer = client.post("/api/session", json={"name": name, "password": password})
                assert answer.status_code == 200, answer.text
            yield client

    def wait(self, condition: Any, what: str, timeout_s: float = PATIENCE_S) -> Any:
        """Until it is true; its value."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if found := condition():
                return found
            time.sleep(0.1)
        logs = "\n".join(path.read_text()[-1500:] for path in self.folder.glob("*.log"))
        raise AssertionError(f"{what}: not within {timeout_s:g} s\n{logs}")

    def wait_for_reject(self, client: httpx.Client) -> dict[str, Any]:
        """A coil of the records with a rejected frame."""

        def found() -> dict[str, Any] | None:
            answer = client.get("/api/coils")
            coils = answer.json() if answer.status_code == 200 else []
            return next((coil for coil in coils if coil["reject"]), None)

        return self.wait(found, "a rejected frame is recorded")


def answers(url: str, trusts: ssl.SSLContext | None = None) -> bool:
    """Whether a server answers, whatever it says."""
    try:
        httpx.get(url, timeout=2, verify=trusts or True)
    except httpx.HTTPError:
        return False
    return True


def write_frames(folder: Path, count: int) -> Path:
    """Images with one bright defect each."""
    folder.mkdir()
    for number in range(count):
        pixels = np.full((HEIGHT, WIDTH), 90, np.uint8)
        pixels[20:40, 20 + 4 * (number % 20) : 50 + 4 * (number % 20)] = 220
        pixels[0, 0] = number
        cv2.imwrite(str(folder / f"frame_{number:03d}.png"), pixels)
    return folder


@contextmanager
def running(page: PageUnderTest, *names: str) -> Iterator[PageUnderTest]:
    """Start and, in the end, stop."""
    try:
        page.start(*names)
        yield page
    finally:
        page.close()


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Debian's browser; skips where it is missing."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright: pip install playwright")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    # Its wrapper script reads the environment of a desktop.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    with playwright.sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        program = _as_an_equal(program, Path(folder))
        browser = driver.chromium.launch(executable_path=program, args=arguments, env=environment)
        try:
            yield browser
        finally:
            browser.close()


def _as_an_equal(program: str, folder: Path) -> str:
    """Return a script that starts a browser which competes with the lines of the tests beside it as an equal.

    As root, Chromium takes the priority −8 for itself, which delays every line on the PC. Without the capability
    it keeps the one that it is started with.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return program
    script = folder / "chromium"
    script.write_text(f'#!/bin/sh\nexec setpriv --bounding-set -sys_nice --inh-caps -sys_nice {program} "$@"\n')
    script.chmod(0o755)
    return str(script)
