"""An append-only log file of whole lines, which is rotated when full and restored when moved or deleted."""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inspector.files import whole_file

_COPY_BYTES: Final = 1 << 20

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a service starts a new file, and how many full ones it keeps."""

    file_bytes: int
    keep: int


class LogFile:
    """An append-only file `NAME.jsonl`; full files are `NAME-000001.jsonl` and so on."""

    def __init__(self, path: Path, rotation: Rotation | None = None) -> None:
        """Open the log, or create it. Raises OSError."""
        self.path = path
        self._rotation = rotation
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()
        self.size = os.fstat(self._file).st_size

    @property
    def inode(self) -> int:
        """Inode of the open file, which distinguishes it from another file of the same name."""
        return os.fstat(self._file).st_ino

    def write(self, lines: bytes | bytearray | memoryview) -> int:
        """Append and return the number of bytes written, which may be fewer than given; raises OSError."""
        written = os.write(self._file, lines)
        self.size += written
        return written

    def sync(self) -> None:
        """Flush to the disk, so that a power cut cannot lose what was written; raises OSError."""
        os.fdatasync(self._file)

    def rotate(self) -> None:
        """Start a new file if this one is full; call it between whole lines.

        If the disk refuses, the file keeps growing until a later call succeeds.
        """
        rotation = self._rotation
        if rotation is None or self.size < rotation.file_bytes:
            return
        try:
            full = full_files(self.path)
            number = _number(full[-1]) + 1 if full else 1
            moved = self.path.with_name(f"{self.path.stem}-{number:06d}{self.path.suffix}")
            # A link never replaces a file: a number is used once even if another decide rotates at the same time.
            os.link(self.path, moved)
            self.path.unlink()
            try:
                file = self._open()
            except OSError:
                moved.rename(self.path)
                raise
        except OSError as error:
            log.error("log cannot begin a new file", path=str(self.path), error=error.strerror)
            return
        self._take(file)
        for old in [*full, moved][: -rotation.keep]:
            with contextlib.suppress(FileNotFoundError):
                old.unlink()

    def put_back(self) -> str | None:
        """If the file was moved or deleted, start a new one; returns what was done, or None if nothing was.

        The lines of a deleted file are copied to the new one, because this process still has it open. Raises
        OSError.
        """
        mine = os.fstat(self._file)
        try:
            there = self.path.stat()
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            return None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if mine.st_nlink:
            self.sync()
            self._take(self._open())
            return "it was moved: a new file was started"
        with whole_file(self.path) as part, part.open("wb") as copy:
            place = 0
            while piece := os.pread(self._file, _COPY_BYTES, place):
                place += copy.write(piece)
        self._take(self._open())
        return "it was deleted: its lines were written to a new file"

    def last_line(self) -> bytes:
        """The last whole line; empty for a log without one, or with a longer one than 64 KiB."""
        tail = os.pread(self._file, 65_536, max(0, self.size - 65_536))
        whole = tail[: tail.rfind(b"\n") + 1]
        start = whole.rfind(b"\n", 0, -1) + 1
        return whole[start:] if start or self.size <= len(tail) else b""

    def cut_torn_line(self) -> None:
        """Remove the partial line that a killed writer left at the end."""
        whole = end = self.size
        while whole > 0:
            start = max(0, whole - 65_536)
            place = os.pread(self._file, whole - start, start).rfind(b"\n")
            if place >= 0:
                whole = start + place + 1
                break
            whole = start
        if whole < end:
            log.warning("removed a partial line from the end of the log", path=str(self.path), bytes=end - whole)
            os.ftruncate(self._file, whole)
            self.size = whole

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self) -> int:
        # Opened for reading too: `put_back` copies from it.
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _take(self, file: int) -> None:
        os.close(self._file)
        self._file = file
        self.size = os.fstat(file).st_size


def full_files(path: Path) -> list[Path]:
    """Return the full files rotated from `path`, oldest first."""
    pattern = re.compile(rf"{re.escape(path.stem)}-\d{{6,}}{re.escape(path.suffix)}")
    return sorted((each for each in path.parent.iterdir() if pattern.fullmatch(each.name)), key=_number)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
