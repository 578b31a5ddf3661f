"""A folder that appears whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inspector.errors import InputError


def check_is_new(path: Path) -> None:
    """Raise InputError when something is there already: nothing is overwritten."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already: name a new folder, or remove it first")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling to build in, renamed to `path` on success and removed on any failure."""
    check_is_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 would shut out the service that opens it
        yield building
        building.replace(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
