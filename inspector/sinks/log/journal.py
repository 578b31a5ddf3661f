"""The journal: verdict lines in memory that survives decide, until they are on the disk.

A verdict is in the journal before it is sent to the gate; that takes microseconds and waits for no disk. A killed
decide leaves its journal in the links folder (tmpfs), and the next decide copies the missing lines to the log. A
power cut loses the journal; `SYNC_S` in log_writer.py says what that costs.
"""

import errno
import os
import threading
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.errors import WorkError

JOURNAL_NAME: Final = "journal"

HEADER_BYTES: Final = 64 * 1024
"""Reserved size of `JournalHeader`, bytes: enough for some thousand cameras."""

SHRINK_BYTES: Final = 1_000_000
"""Size from which a journal is emptied once all its lines are in the log, bytes."""

log = structlog.get_logger()


class JournalHeader(msgspec.Struct, array_like=True):
    """What the next decide needs to continue."""

    taken: int = 0
    """Bytes of the journal that are in the log."""
    log_inode: int = 0
    log_bytes: int = 0
    """Size of the log file when `taken` was written."""
    log_path: str = ""
    """The log that the lines belong to."""
    places: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Camera → (ingest epoch, next frame id)."""


class Journal:
    """Lines that are not in the log yet; decide's loop and the log's thread share it. Never waits for the disk."""

    def __init__(self, folder: Path) -> None:
        """Open the folder's journal, or create it; raises WorkError."""
        self.path = folder / JOURNAL_NAME
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WorkError(
                f"{self.path}: {error.strerror}: the journal must belong to this user and be a file; it may hold "
                "verdicts that the log lacks, so give it to this user or move it away"
            ) from None
        self._lock = threading.Lock()
        self._header = self._read_header()
        self._end = max(0, os.fstat(self._file).st_size - HEADER_BYTES)
        self.failed = False
        """The memory was full: nothing more is kept until all lines are in the log and `restart` is called."""

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """Camera → (ingest epoch, next frame id), including the verdicts of an earlier decide."""
        return dict(self._header.places)

    @property
    def log_path(self) -> str:
        """The log that the lines belong to; empty for a new journal."""
        return self._header.log_path

    def untaken(self, log_inode: int, log_bytes: int, log_tail: bytes = b"") -> bytes:
        """Return the lines missing from the log in its present state.

        If the log ends in a partial line, the result starts with the rest of that line. `log_tail` is the log's
        last line: it identifies a copy of the log, and a log begun after a rotation.
        """
        header = self._header
        start = header.taken
        if log_inode == header.log_inode:
            start += max(0, log_bytes - header.log_bytes)
        elif log_tail:
            place = os.pread(self._file, max(0, self._end - start), HEADER_BYTES + start).find(log_tail)
            start += place + len(log_tail) if place >= 0 else 0
        lines = os.pread(self._file, max(0, self._end - start), HEADER_BYTES + start)
        # A kill may leave part of a line, whose verdict was not sent.
        return lines[: lines.rfind(b"\n") + 1]

    def append(self, lines: bytes | bytearray, places: dict[str, tuple[int, int]]) -> bool:
        """Keep these lines and each camera's place; False while the memory is full, or was."""
        if self.failed:
            return False
        with self._lock:
            self._header.places = places
            try:
                if os.pwrite(self._file, lines, HEADER_BYTES + self._end) != len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._write_header()
            except OSError as error:
                self._fail(error)
                return False
            self._end += len(lines)
        return True

    def taken(self, count: int, log_inode: int, log_bytes: int) -> None:
        """Note that the log has `count` more bytes and is now `log_bytes` long."""
        if self.failed:
            return
        with self._lock:
            header = self._header
            header.taken = min(header.taken + count, self._end)
            header.log_inode, header.log_bytes = log_inode, log_bytes
            if header.taken == self._end and self._end >= SHRINK_BYTES:
                # Truncate first: a header that counts more bytes than the file holds means that nothing is left.
                os.ftruncate(self._file, HEADER_BYTES)
                header.taken = self._end = 0
            self._write_header()

    def restart(self, log_inode: int, log_bytes: int, log_path: str, lines: bytes = b"") -> None:
        """Begin with these lines, which the log lacks; it has all others. A full memory keeps `failed` set."""
        header = self._header
        with self._lock:
            try:
                os.ftruncate(self._file, HEADER_BYTES)
                self._end = os.pwrite(self._file, lines, HEADER_BYTES)
                self._header = JournalHeader(
                    log_inode=log_inode,
                    log_bytes=log_bytes,
                    places=header.places,
                    log_path=log_path,
                )
                self._write_header()
            except OSError as error:
                self._fail(error)
                return
            self.failed = self._end != len(lines)

    def close(self) -> None:
        """Close the file and leave it for the next decide."""
        os.close(self._file)

    def _fail(self, error: OSError) -> None:
        if not self.failed:  # each turn tries again: log the change only
            log.error("journal cannot be written: the gate waits for the disk", path=str(self.path),
                      error=error.strerror)  # fmt: skip
        self.failed = True

    def _write_header(self) -> None:
        packed = msgspec.msgpack.encode(self._header)
        os.pwrite(self._file, len(packed).to_bytes(4, "big") + packed, 0)

    def _read_header(self) -> JournalHeader:
        size = int.from_bytes(os.pread(self._file, 4, 0), "big")
        if not size:
            return JournalHeader()
        try:
            return msgspec.msgpack.decode(os.pread(self._file, size, 4), type=JournalHeader)
        except msgspec.DecodeError as error:
            log.error("journal is damaged: frames of the last second may lack their verdict", error=str(error))
            os.ftruncate(self._file, 0)
            return JournalHeader()
