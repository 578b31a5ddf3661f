"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist and has `mode` from the start; one that cannot be written whole is removed.

    Raises OSError, which names the file: a full disk shows only when bytes are written, and then Python does not.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write `content` to a temporary file and rename it to `path`, so that no reader sees half a file.

    With `sync`, a power cut cannot undo it once this returns. Raises OSError (a full disk, a read-only folder),
    after removing the temporary file.
    """
    with whole_file(path, sync=sync) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Do the same for a file written in parts: the block writes to the yielded path."""
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        yield part
        # Sync the content before the rename: a power cut must not leave an empty file with the final name.
        if sync:
            _sync(part)
        part.replace(path)
        if sync:
            _sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is the one to report
            part.unlink()
        if isinstance(error, OSError) and error.filename is None:  # a full disk shows only at a write
            error.filename = str(path)
        raise


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
