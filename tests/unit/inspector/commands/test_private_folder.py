"""A run's folder in shared memory: gone at its end, and at the latest when another run begins."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.commands import private_folder as module
from inspector.commands.private_folder import PREFIX, YOUNG_S, private_folder


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path)
    return tmp_path


def age(folder: Path) -> None:
    old_s = folder.stat().st_mtime - 2 * YOUNG_S
    os.utime(folder, (old_s, old_s))


HOLD = """
import sys, time
from pathlib import Path
from inspector.commands import private_folder as module
module.SHARED_MEMORY = Path(sys.argv[1])
with module.private_folder() as folder:
    (folder / "pixels-top").write_bytes(b"frames")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_it_is_gone_at_the_end(base: Path):
    """Frames in memory are not left behind."""
    with private_folder() as folder:
        (folder / "pixels-top").write_bytes(b"frames")
        assert folder.parent == base
        assert oct(folder.stat().st_mode)[-3:] == "700"
    assert list(base.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_what_lives_stays(base: Path):
    """A lock tells which: the kernel takes it from a process that dies, however it dies."""
    command = [sys.executable, "-c", HOLD, str(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        held = Path(run.stdout.readline().strip())
        age(held)
        with private_folder():
            assert (held / "pixels-top").exists()
        run.send_signal(signal.SIGKILL)
        run.wait()
        with private_folder() as folder:
            assert list(base.iterdir()) == [folder]


def test_a_young_one_is_left_alone(base: Path):
    """Its run may be about to lock it."""
    young = base / f"{PREFIX}young"
    young.mkdir()
    with private_folder():
        assert young.exists()
