"""Commands where space, leave to write, a home or a user's entry is missing: one line, never a traceback."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import pytest

from tests.support.frames import make_frame
from tests.support.lines import PATIENCE_S, LineUnderTest

SIZE = (64, 128)
NOBODYS_ID = "54321"
"""A user id without an entry."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> LineUnderTest:
    line = LineUnderTest(tmp_path_factory.mktemp("line"), SIZE)
    frames = line.folder / "frames"
    frames.mkdir()
    for number in range(20):
        cv2.imwrite(str(frames / f"{number}.png"), make_frame(number, *SIZE))
    assert line.replay(frames, out=line.folder / "done").code == 0
    return line


@pytest.fixture(params=["read-only", "full"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A full disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a disk needs root")
    if request.param == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        assert shutil.disk_usage(folder).free == 0
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def said(line: LineUnderTest, *arguments: object) -> str:
    """Return the error line of a failed command, without its stages' log lines."""
    process = line.start(*arguments)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    lines = [each for each in stderr.splitlines() if not each.startswith("{") and each != "starting"]
    assert process.returncode in (1, 2), (arguments, stdout, stderr)
    assert len(lines) == 1, (arguments, stderr)
    assert "Traceback" not in stdout + stderr
    return lines[0]


def test_a_disk_that_takes_nothing_is_said_at_the_start(line: LineUnderTest, disk: Path) -> None:
    """Every command that would write there says what, where and why."""
    done, frames, engine = line.folder / "done", line.folder / "frames", line.folder / "engine"
    why = ("Read-only file system", "No space left on device", "cannot be written to", "disk is full")
    line.write_config(f"[sinks]\nout = '{disk}/runs'\n[records]\nenabled = true")
    config = ("--config", line.config)
    for arguments in (
        ("run", *config),
        ("run", *config, "--out", disk / "run"),
        ("replay", frames, *config, "--out", disk / "replay"),
        ("record", frames, *config, "--out", disk / "recording"),
        ("report", done, "--out", disk / "report.html"),
        ("records", "import", done, *config),
        ("keys", "line", "--out", disk / "keys"),
        ("keys", "signing", "--out", disk / "signing.key"),
        ("recipe", engine, "--out", disk / "recipe.toml"),
    ):
        text = said(line, *arguments)
        assert any(each in text for each in why), text
        assert str(disk) in text


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of that user, because only root may enter pytest's folders."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("another user needs root")
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, int(NOBODYS_ID), int(NOBODYS_ID))
        yield Path(name)


def test_a_user_without_a_home_and_without_an_entry(line: LineUnderTest, own_folder: Path) -> None:
    """A container's user without a home can do everything; the engine is compiled at each start."""
    line.write_config()
    # It may read everything, because Python itself may lie in root's home; it may write only its own files.
    become = ["setpriv", "--reuid", NOBODYS_ID, "--regid", NOBODYS_ID, "--clear-groups"]
    become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    env = {key: value for key, value in os.environ.items() if key not in ("HOME", "USER", "LOGNAME")}
    env |= {"TMPDIR": str(own_folder)}
    frames = line.folder / "frames"
    for arguments in (
        ("check", frames, "--config", line.config),
        ("replay", frames, "--config", line.config, "--out", own_folder / "replay"),
        ("calibrate", frames, "--config", line.config),
        ("report", own_folder / "replay"),
        ("keys", "line", "--out", own_folder / "keys"),
    ):
        command = [*become, sys.executable, "-m", "inspector", *map(str, arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
