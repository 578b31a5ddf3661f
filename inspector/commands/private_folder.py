"""A run's own folder in shared memory: its sockets and the frames that its stages share."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.folders import make_own_folder

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (the folder made in it is private and new)
"""Where frames that the stages share stay in memory; the usual folder for temporary files may be a disk."""

PREFIX: Final = "inspector-run-"

SPARE_BYTES: Final = 4_000_000
"""For sockets, the config and what else shares the folder's disk."""

YOUNG_S: Final = 60.0
"""A folder this young may be one whose run has not yet locked it, or whose stages are still on their way out."""


@contextmanager
def private_folder(links: Path, need_bytes: int) -> Iterator[Path]:
    """A new folder with a short name (a socket's has at most 107 bytes), removed at the end.

    It lies in shared memory where that has room for what the stages share; where not (a container's has 64 MB), in
    the config's folder of the links, or among temporary files. What a run that was killed has left behind goes
    first: it would hold its memory until the PC starts again. Raises InputError where nothing has room.
    """
    base = _with_room((SHARED_MEMORY, links, Path(tempfile.gettempdir())), need_bytes)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=base) as name:
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def _with_room(folders: Sequence[Path], need_bytes: int) -> Path:
    found = []
    for folder in folders:
        # The last one is everybody's; what is made in it is not.
        if folder != folders[-1] and folder != SHARED_MEMORY:
            make_own_folder(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            found.append(f"{folder} cannot be written to")
            continue
        for left in folder.glob(f"{PREFIX}*"):
            _clear(left)
        free = shutil.disk_usage(folder).free
        if free >= need_bytes + SPARE_BYTES:
            return folder
        found.append(f"{folder} has {free / 1e6:.0f} MB")
    raise InputError(
        f"no room for the {need_bytes / 1e6:.0f} MB of frames that the stages share ({', '.join(found)}): set "
        "`links` in the config to a folder that has it; one on a disk works, and costs speed"
    )


def _clear(left: Path) -> None:
    """Remove a folder unless a run holds it, or it is another user's."""
    try:
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        state = os.fstat(lock)
        if state.st_uid == os.getuid() and time.time() - state.st_mtime > YOUNG_S:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
