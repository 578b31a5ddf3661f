"""The newest encoder count that a camera's frame carried: its ingest writes it, the strip process reads it.

One small file in the links folder, written in one call, so neither process waits for the other. A half-written
record fails its checksum, and the reader keeps what it had.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

FILE_NAME: Final = "encoder-count"

_LAYOUT: Final = struct.Struct("<qq")
_CHECK: Final = struct.Struct("<I")


class Carried(NamedTuple):
    """One frame's count."""

    monotonic_ns: int
    """Capture time of the frame's first row, monotonic clock."""
    counted: int


class CountWriter:
    """The camera's end, in its ingest."""

    def __init__(self, folder: Path) -> None:
        """Open or create the file; raises OSError."""
        self._file = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def keep(self, monotonic_ns: int, count: int) -> None:
        """Replace the record; cheap enough for every frame."""
        content = _LAYOUT.pack(monotonic_ns, count)
        os.pwrite(self._file, content + _CHECK.pack(zlib.crc32(content)), 0)

    def close(self) -> None:
        """Close the file, which stays for the camera's next ingest."""
        os.close(self._file)


def read_count(folder: Path) -> Carried | None:
    """The newest record; None without a file, and for a half-written one. Raises OSError."""
    try:
        content = (folder / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    if len(content) != _LAYOUT.size + _CHECK.size:
        return None
    if zlib.crc32(content[: _LAYOUT.size]) != _CHECK.unpack_from(content, _LAYOUT.size)[0]:
        return None
    return Carried(*_LAYOUT.unpack_from(content))
