"""A lock that allows one process of a kind per folder; the kernel releases it when the process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inspector.errors import ConfigError


@contextmanager
def hold_place(name: str, folder: Path) -> Iterator[None]:
    """Hold the lock for `name` in this folder; raises ConfigError when another process holds it.

    Checking for another process and then binding would let two that start at the same moment both run.
    """
    path = folder / f".{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: give another folder") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise ConfigError(f"{folder}: another {name} uses it (pid {holder}): stop it first") from None
        # Only the other process's error message reads it; a full disk must not keep a stage from starting.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)
