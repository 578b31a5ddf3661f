"""A camera's password: the camera gets it, and nothing else does."""

import http.server
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from tests.support.lines import LineUnderTest, stage, wait_for_verdicts

SECRET = "S3cret-of-the-camera"  # noqa: S105  # of no camera


class Camera(http.server.BaseHTTPRequestHandler):
    """Serves motion JPEG to clients that know the password, in the address or as a parameter."""

    asked: list[str]
    pictures = 20

    def do_GET(self) -> None:
        self.asked.append(self.path)
        jpeg = cv2.imencode(".jpg", np.full((64, 128), 100, np.uint8))[1].tobytes()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        for _ in range(self.pictures):
            self.wfile.write(head + jpeg + b"\r\n")
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """No news."""


@pytest.fixture
def camera() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Camera,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # the line hangs up at its end
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("where", ["config", "env", "credential"])
def test_a_cameras_password_stands_nowhere(
    tmp_path: Path, camera: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It is in no file, log, report or command line of the run, but the camera receives it."""
    port, asked = camera
    line = LineUnderTest(tmp_path / "line")
    source: dict[str, Any] = {"type": "camera", "frames_per_second": 10}
    if where == "config":
        line.write_config(**source, device=f"http://admin:{SECRET}@127.0.0.1:{port}/x?user=admin&pwd={SECRET}")
    else:
        monkeypatch.setenv("TOP_CAMERA", SECRET)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        (tmp_path / "top").write_text(SECRET)
        address = f"http://127.0.0.1:{port}/x?user=admin&pwd={{password}}"
        line.write_config(
            **source, device=address, password={"env": "env:TOP_CAMERA"}.get(where, "credential:top")
        )
    out = line.folder / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 30)  # the camera has disconnected by then, and the log names its address
    running = [stage(process, name) for name in ("ingest", "worker", "decide")]
    assert SECRET not in " ".join(word for child in running for word in child.cmdline())
    readable = [
        path
        for child in running
        for path in Path(child.cmdline()[child.cmdline().index("--config") + 1]).parent.glob("*.json")
    ]
    assert {path.stat().st_mode & 0o777 for path in readable} == {0o600}
    process.send_signal(signal.SIGINT)
    run = line.finish(process, out)
    assert asked
    assert all(path.endswith(f"pwd={SECRET}") for path in asked)
    assert any("***" in reason for verdict in run.verdicts for reason in verdict["reasons"])
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {"line.json", "verdicts.jsonl", "summary.json", "report.html"} <= {path.name for path in files}
    assert not [path.name for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in run.stderr + run.stdout
    assert (out / "line.json").stat().st_mode & 0o027 == 0
    assert not psutil.pid_exists(running[0].pid)


def test_check_and_refusals_do_not_repeat_it(tmp_path: Path) -> None:
    """An unreachable camera is named without its password."""
    line = LineUnderTest(tmp_path)
    line.write_config(type="camera", frames_per_second=10, device=f"http://a:{SECRET}@127.0.0.1:9/x?pwd={SECRET}")
    for command in (("check",), ("run", "--out", tmp_path / "out")):
        process = line.start(*command, "--config", line.config)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "http://a:***@127.0.0.1:9/x?pwd=***" in stdout + stderr
        assert SECRET not in stdout + stderr
    assert not [path for path in (tmp_path / "out").rglob("*.*") if SECRET.encode() in path.read_bytes()]
