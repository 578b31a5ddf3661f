"""A run's private folder in shared memory, for its sockets and the frames that its processes share."""

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
"""Preferred place of the folder: shared frames stay in memory, while the temporary folder may be on a disk."""

PREFIX: Final = "inspector-run-"

SPARE_BYTES: Final = 4_000_000
"""Space reserved for sockets, the config and other small files, bytes."""

YOUNG_S: Final = 60.0
"""A younger folder is not removed: its run may not have locked it yet, or its processes may still be stopping."""


@contextmanager
def private_folder(links: Path, need_bytes: int) -> Iterator[Path]:
    """Make a new folder, and remove it at the end.

    Its name is short, because a socket path has at most 107 bytes. The folder is in shared memory if there is
    enough of it (a container has only 64 MB), else in the config's `links` folder, else in the temporary folder.
    Folders of killed runs are removed first, because they hold memory until the PC restarts. Raises InputError if
    no place has enough space.
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
        # Only the `links` folder is made here: shared memory and the temporary folder belong to the system.
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
        f"not enough space for the {need_bytes / 1e6:.0f} MB of frames that the stages share "
        f"({', '.join(found)}): set `links` in the config to a folder with enough; one on a disk works, but slower"
    )


def _clear(left: Path) -> None:
    """Remove a folder unless a run holds its lock or another user owns it."""
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
