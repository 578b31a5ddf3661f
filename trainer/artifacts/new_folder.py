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
"""For all, as other folders are."""


def check_is_new(path: Path) -> None:
    """Raise InputError when something is there already: nothing is overwritten."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already and not empty: name a new folder, or remove it first")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling to build in, renamed to `path` on success and removed on any failure.

    What a killed predecessor left there is removed first.
    """
    check_is_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=PART_SUFFIX, dir=path.parent))
    try:
        with _locked(building):
            building.chmod(_READABLE)  # mkdtemp's 0700 would shut out the service that opens it
            yield building
            building.replace(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _clear_leftovers(path: Path) -> None:
    """Remove temporary siblings that no living process builds in: the kernel lets go of a dead one's lock."""
    for leftover in path.parent.glob(f".{path.name}.*{PART_SUFFIX}"):
        with suppress(OSError), _locked(leftover):
            shutil.rmtree(leftover)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder; raises BlockingIOError where another process does."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
