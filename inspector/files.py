"""A file that is there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write `content` beside `path` and rename it into place, so that no reader meets half a file.

    `sync`: a power cut cannot undo it once this returns. Raises OSError (a full disk, a folder that cannot be
    written); what was written so far is taken away then.
    """
    with whole_file(path, sync=sync) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """The same for a file that is written bit by bit, under the name that is given to the block."""
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        yield part
        # The content before the name: a power cut must not leave the name of an empty file.
        if sync:
            _sync(part)
        part.replace(path)
        if sync:
            _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
