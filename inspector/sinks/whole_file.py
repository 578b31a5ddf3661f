"""A file that is there whole or not at all."""

import contextlib
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it into place, so that no reader meets half a file.

    Raises OSError (a full disk, a folder that cannot be written); what was written so far is taken away then.
    """
    part = path.with_name(f".{path.name}{PART_SUFFIX}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        raise
