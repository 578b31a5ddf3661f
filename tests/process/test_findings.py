"""Faults in which each frame that arrives is well, and the line is not: health says so."""

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.support.plc import BASE, DEVICE, PLC
from tests.support.ports import free_port
from tests.support.stages import Stages, until


def healthz(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def says(port: int, words: str) -> Callable[[], bool]:
    def said() -> bool:
        code, text = healthz(port)
        return code == 503 and words in text

    return said


def well(port: int) -> Callable[[], bool]:
    return lambda: healthz(port)[0] == 200


def test_a_camera_below_its_stated_rate_is_found_and_a_triggered_one_is_well(tmp_path: Path) -> None:
    """Both give 50 frames/s where the config says 100; an encoder triggers one, and its strip may run slower."""
    port = free_port()
    with Stages(tmp_path, cameras=("free", "triggered")) as line:
        camera = 'type = "camera"\ndevice = "/dev/null"\nframes_per_second = 100\ntrigger = '
        line.write(
            tables=f"[health]\nport = {port}\n",
            sources={"free": camera + '"free"', "triggered": camera + '"encoder"'},
        )
        line.start("decide")
        line.start("worker")
        for name in line.cameras:
            line.start("ingest", camera=name, rate=50)
        until(well(port), "healthy at the start")
        until(says(port, "camera free: gives 50.0 frames/s, its config says 100"), "the rate is found", 60)
        _, text = healthz(port)
        assert "triggered" not in text
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            metrics = answer.read().decode()
        missing = {row.split()[0]: float(row.split()[1]) for row in metrics.splitlines() if "missing_frames" in row
                   and not row.startswith("#")}  # fmt: skip
        assert missing['inspector_missing_frames_total{camera="free"}'] > 200
        assert missing['inspector_missing_frames_total{camera="triggered"}'] == 0
        line.stop()


def test_a_worker_that_is_gone_is_found_while_the_strip_stands(tmp_path: Path) -> None:
    """The line is unhealthy although no frame waits for a result."""
    port = free_port()
    with Stages(tmp_path) as line:
        line.write(tables=f"[health]\nport = {port}\n")
        line.start("decide")
        line.standstill.touch()
        line.start("ingest")
        until(says(port, "worker: none has reported yet"), "no worker")
        line.start("worker")
        until(well(port), "healthy without a frame")
        time.sleep(3)  # longer than the limit: an idle worker keeps reporting
        assert healthz(port) == (200, "ok\n")
        for how, back in ((signal.SIGSTOP, signal.SIGCONT), (signal.SIGKILL, None)):
            line.send("worker", how)
            until(says(port, "worker: none has reported for"), f"a worker after {how.name}")
            if back is not None:
                line.send("worker", back)
                until(well(port), "healthy again")
        line.stop()


def test_verdicts_that_all_come_late_to_the_gate_are_found(tmp_path: Path) -> None:
    """The PLC rejects all steel although each frame is inspected, so the line is unhealthy."""
    port, plc = free_port(), PLC(tmp_path)
    plc.start()
    try:
        with Stages(tmp_path, delay_ms=30) as line:
            gate = f'[gate]\nhost = "127.0.0.1"\nport = {plc.port}\ndevice_id = {DEVICE}\nbase_register = {BASE}\n'
            line.write(tables=f"[health]\nport = {port}\n{gate}late_ms = 10\n")
            for stage in ("decide", "worker", "ingest"):
                line.start(stage, rate=20)
            until(says(port, "verdicts were late or missed, so the PLC rejects"), "late verdicts")
            line.stop()
    finally:
        plc.stop()
