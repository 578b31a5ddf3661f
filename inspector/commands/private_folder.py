"""A run's own folder in shared memory: its sockets and the frames that its stages share."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (the folder made in it is private and new)
"""Where frames that the stages share stay in memory; the usual folder for temporary files may be a disk."""

PREFIX: Final = "inspector-run-"

YOUNG_S: Final = 60.0
"""A folder this young may be one whose run has not yet locked it, or whose stages are still on their way out."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder with a short name (a socket's has at most 107 bytes), removed at the end.

    What a run that was killed has left behind goes first: it would hold its memory until the PC starts again.
    """
    base = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}*"):
        _clear(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=base) as name:
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


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
