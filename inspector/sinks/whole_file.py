"""A file that is there whole or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it into place, so that no reader meets half a file.

    Raises OSError (a full disk, a folder that cannot be written); what was written so far is taken away then.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The same for a file that is written bit by bit, under the name that is given to the block."""
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise
