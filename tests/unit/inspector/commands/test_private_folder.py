"""A run's folder in shared memory: gone at its end, and at the latest when another run begins."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.commands import private_folder as module
from inspector.commands.private_folder import PREFIX, YOUNG_S, private_folder
from inspector.errors import InputError

LINKS = "links"


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
with module.private_folder(Path("/nonexistent"), 0) as folder:
    (folder / "pixels-top").write_bytes(b"frames")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_it_is_gone_at_the_end(base: Path) -> None:
    """Frames in memory are not left behind."""
    with private_folder(base / LINKS, 0) as folder:
        (folder / "pixels-top").write_bytes(b"frames")
        assert folder.parent == base
        assert oct(folder.stat().st_mode)[-3:] == "700"
    assert list(base.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_what_lives_stays(base: Path) -> None:
    """A lock distinguishes them, because the kernel releases it when a process dies."""
    command = [sys.executable, "-c", HOLD, str(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        held = Path(run.stdout.readline().strip())
        age(held)
        with private_folder(base / LINKS, 0):
            assert (held / "pixels-top").exists()
        run.send_signal(signal.SIGKILL)
        run.wait()
        with private_folder(base / LINKS, 0) as folder:
            assert list(base.iterdir()) == [folder]


def test_a_young_one_is_left_alone(base: Path) -> None:
    """Its run may be about to lock it."""
    young = base / f"{PREFIX}young"
    young.mkdir()
    with private_folder(base / LINKS, 0):
        assert young.exists()


def disk(free: dict[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that this much is free here, and nothing elsewhere."""
    real = shutil.disk_usage

    def usage(folder: Path) -> object:
        return real(folder)._replace(free=free.get(Path(folder), 0))

    monkeypatch.setattr(module.shutil, "disk_usage", usage)  # type: ignore[attr-defined]


def test_it_lies_where_there_is_room(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cameras do not fit into a container's 64 MB: then in `links`, then among temporary files."""
    links, temporary = tmp_path / "l" / LINKS, tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(temporary))  # type: ignore[attr-defined]
    everywhere = {base: 64_000_000, links: 10**9, temporary: 10**9}
    for need_bytes, found in ((50_000_000, base), (98_000_000, links)):
        disk(everywhere, monkeypatch)
        with private_folder(links, need_bytes) as folder:
            assert folder.parent == found
    disk(everywhere | {links: 0}, monkeypatch)
    with private_folder(links, 98_000_000) as folder:
        assert folder.parent == temporary


def test_no_room_anywhere_names_the_key_to_set(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error also states the needed and the available space."""
    disk({base: 64_000_000}, monkeypatch)
    with pytest.raises(InputError, match=r"98 MB of frames .*has 64 MB.*: set `links` in the config"):
        private_folder(tmp_path / "l", 98_000_000).__enter__()
