"""A folder that appears whole or not at all."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.files import PART_SUFFIX

_READABLE: Final = 0o755
"""Mode of the finished folder: readable by every user, like other folders."""


def check_is_new(path: Path) -> None:
    """Raise InputError if `path` exists and is not an empty folder: nothing is overwritten."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not empty: name a new folder, or remove it first")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder; rename it to `path` on success, remove it on any failure.

    Leftovers of a killed process are removed first.
    """
    check_is_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=PART_SUFFIX, dir=path.parent))
    try:
        with _locked(building):
            building.chmod(_READABLE)  # mkdtemp's mode 0700 would shut out the service that opens the folder
            yield building
            building.replace(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _clear_leftovers(path: Path) -> None:
    """Remove temporary siblings that no running process locks: the kernel releases the lock of a dead process."""
    for leftover in path.parent.glob(f".{path.name}.*{PART_SUFFIX}"):
        with suppress(OSError), _locked(leftover):
            shutil.rmtree(leftover)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder; raises BlockingIOError if another process holds the lock."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
