"""How `inspector run` is stopped, and what else it says at its start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.lines import LineUnderTest, wait_for_verdicts

PACED: dict[str, Any] = {"type": "simulator", "height": 64, "width": 128, "distinct": 4, "frames_per_second": 50}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_each_signal_ends_a_run_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Also after SIGHUP: summary and report exist, and shared memory holds no folder."""
    line = LineUnderTest(tmp_path)
    line.write_config(**PACED)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 20)
    own = Path(json.loads((out / "line.json").read_text())["links"])
    assert own.is_dir()
    process.send_signal(number)
    run = line.finish(process, out)
    assert run.code == 0, run.stderr
    assert run.summary["captured"] == len(run.verdicts) >= 20
    assert (out / "report.html").exists()
    assert not own.exists()


def test_nohup_is_respected(tmp_path: Path) -> None:
    """A run under nohup survives the end of its terminal."""
    line = LineUnderTest(tmp_path)
    line.write_config(**PACED)
    command = [
        "nohup",
        sys.executable,
        "-m",
        "inspector",
        "run",
        "--config",
        str(line.config),
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_verdicts(tmp_path / "out", 10)
    process.send_signal(signal.SIGHUP)
    wait_for_verdicts(tmp_path / "out", 60)
    process.send_signal(signal.SIGTERM)
    line.finish(process, tmp_path / "out")


def test_a_second_run_of_a_line_says_that_it_already_runs(tmp_path: Path) -> None:
    """The message names the running process, not a port in use."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = LineUnderTest(tmp_path)
    line.write_config(f"[health]\nport = {port}\n", **PACED)
    first = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 10)
    second = line.start("run", "--config", line.config, "--out", tmp_path / "second")
    _, said = second.communicate(timeout=30)
    assert second.returncode == 2
    assert f"this line already runs (pid {first.pid})" in said
    first.send_signal(signal.SIGINT)
    line.finish(first, tmp_path / "out")


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_links_that_everybody_can_write_to_are_refused(tmp_path: Path, mode: int) -> None:
    """By `check`, in one line; nothing is started in them."""
    links = tmp_path / "links"
    links.mkdir()
    links.chmod(mode)
    line = LineUnderTest(tmp_path / "line")
    line.write_config(f'links = "{links}"\n', **PACED)
    process = line.start("check", "--config", line.config)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"wrong  links              links: {links}: every user can write to it" in said
    assert list(links.iterdir()) == []


def test_a_config_with_a_mark_before_its_text_and_a_user_without_a_home(tmp_path: Path) -> None:
    """Windows editors write a byte order mark; containers have users without an entry."""
    line = LineUnderTest(tmp_path)
    line.write_config(**PACED, frames=10)
    line.config.write_bytes(b"\xef\xbb\xbf" + line.config.read_bytes())
    command = [sys.executable, "-m", "inspector", "replay", str(pictures(tmp_path)), "--config", str(line.config)]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME", "USER")
    }
    if os.geteuid() == 0 and shutil.which("setpriv"):
        caps = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # the interpreter may be root's
        command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *caps, *command]
    # Outside of pytest's folders, which nobody else may enter.
    with tempfile.TemporaryDirectory() as out:
        if command[0] == "setpriv":
            os.chown(out, 54321, 54321)
        command += ["--out", out]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr


def pictures(folder: Path) -> Path:
    import cv2
    import numpy as np

    (folder / "pictures").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), np.full((64, 128), 90, np.uint8))
    return folder / "pictures"


@pytest.mark.parametrize("command", ["run", "replay"])
def test_a_full_disk_at_the_start_is_one_clear_line(tmp_path: Path, command: str) -> None:
    """Neither the command nor a stage prints a traceback."""
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(full)], capture_output=True
    ).returncode:
        pytest.skip("needs to mount a small disk")
    try:
        line = LineUnderTest(tmp_path / "line")
        line.write_config(**PACED, frames=10)
        subprocess.run(["dd", "if=/dev/zero", f"of={full}/x", "bs=1k", "count=8"], capture_output=True)
        source = [pictures(tmp_path)] if command == "replay" else []
        process = line.start(command, *source, "--config", line.config, "--out", full / "out")
        _, said = process.communicate(timeout=60)
        assert process.returncode in (1, 2)
        assert "Traceback" not in said
        assert "No space left on device" in said
    finally:
        subprocess.run(["umount", "--lazy", str(full)], check=True)


def test_ctrl_c_ends_a_replay_with_130(tmp_path: Path) -> None:
    """The source had not ended: the code differs from that of a whole replay; every frame has its verdict."""
    line = LineUnderTest(tmp_path, delay_ms=50)
    folder = tmp_path / "images"
    folder.mkdir()
    shown = next(pictures(tmp_path).iterdir())
    for number in range(200):
        shutil.copy(shown, folder / f"{number}.png")
    out = tmp_path / "out"
    process = line.start("replay", folder, "--config", line.config, "--out", out)
    wait_for_verdicts(out, 5)
    process.send_signal(signal.SIGINT)
    run = line.finish(process, out)
    assert run.code == 130, run.stderr
    assert 5 <= run.summary["captured"] < 200
