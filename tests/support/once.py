"""Folders that are expensive to make: one process makes each, all test processes of a session read it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


class Once:
    """Makes folders below `root`, which every worker of pytest-xdist has in common."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of that name. `make` fills it unless another worker has; tests only read it."""
        path, done = self.root / name, self.root / f"{name}.done"
        with (self.root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # of a worker that failed half way
                make(path)
                done.touch()
        return path


def shared_root(factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers: pytest gives each worker a subfolder of it."""
    own = factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once"
    root.mkdir(exist_ok=True)
    return root
