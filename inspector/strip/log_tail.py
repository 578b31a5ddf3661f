"""Follows verdicts.jsonl while decide writes and rotates it."""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from inspector.repeated import Repeated
from inspector.results import VERDICTS_NAME
from inspector.sinks.log.log_file import full_files
from inspector.values import Verdict

CHUNK_VERDICTS: Final = 500
"""Most verdicts read per turn: some milliseconds of work, so that orders get answers in between."""

CLOCK_SLACK_S: Final = 3600.0
"""Allowance for a clock that was set back, seconds. Logs last written earlier than that before the wanted time are
skipped."""

log = structlog.get_logger()


class LogTail:
    """The verdicts of one folder from a given time on, oldest first, then each new one."""

    def __init__(self, folder: Path, since_ns: int | None) -> None:
        """`since_ns` is the capture time of the oldest wanted verdict; None starts with the next new verdict.

        One that is still to come was noted before the PC's clock was set back: then all verdicts are wanted.
        """
        self._path = folder / VERDICTS_NAME
        self._since_ns = 0 if since_ns is not None and since_ns > time.time_ns() else since_ns
        self._decoder = msgspec.json.Decoder(Verdict)
        self._file: BinaryIO | None = None
        self._inode = 0
        self._rest = b""
        self._last_look = False
        self._done: set[str] = set()
        """Names of full logs that were read to their end; a deleted log's inode may be a newer one's."""
        self._bad = Repeated()
        if since_ns is None:
            self._skip()

    def _full(self) -> list[Path]:
        """Return the full logs; none before decide has created the folder."""
        return full_files(self._path) if self._path.parent.is_dir() else []

    def _skip(self) -> None:
        self._done = {path.name for path in self._full()}
        if self._path.exists():
            self._open(self._path)
            if self._file is not None:
                self._file.seek(0, os.SEEK_END)

    def _open(self, path: Path) -> bool:
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            return False
        self._inode = os.fstat(self._file.fileno()).st_ino
        return True

    def _next_file(self) -> bool:
        """Open the oldest unread log."""
        full = self._full()
        self._done &= {path.name for path in full}
        for path in full:
            if path.name in self._done:
                continue
            if self._since_ns is not None and _changed_s(path) < self._since_ns / 1e9 - CLOCK_SLACK_S:
                self._done.add(path.name)
                continue
            if self._open(path):
                return True
        return self._open(self._path)

    def read(self) -> Iterator[Verdict]:
        """Yield at most CHUNK_VERDICTS verdicts that the logs hold now."""
        given = 0
        while given < CHUNK_VERDICTS:
            if self._file is None and not self._next_file():
                return
            assert self._file is not None  # noqa: S101  # for mypy: opened above
            line = self._file.readline()
            if line.endswith(b"\n"):
                verdict = self._decode(self._rest + line)
                self._rest = b""
                if verdict is not None:
                    given += 1
                    yield verdict
                continue
            self._rest += line
            if not self._rotated():
                return
            if not self._last_look:
                # decide may have written more between our last read and the rotation.
                self._last_look = True
                continue
            # While the log is open, no other file can have its inode.
            self._done |= {path.name for path in self._full() if _inode(path) == self._inode}
            self._file.close()
            self._file, self._rest, self._last_look = None, b"", False

    def _rotated(self) -> bool:
        """Return whether the open log is full, so that a newer one exists."""
        return _inode(self._path) not in {None, self._inode}

    def _decode(self, line: bytes) -> Verdict | None:
        try:
            verdict = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if (count := self._bad.due()) is not None:
                log.warning("a line of the verdict log cannot be read", error=str(error), count=count)
            return None
        if self._since_ns is not None and verdict.captured_ns < self._since_ns:
            return None
        # From here on everything is wanted: a clock that is set back makes no verdict an old one.
        self._since_ns = None
        return verdict

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _changed_s(path: Path) -> float:
    """When a log was last written; infinity for one that was deleted meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
