"""The thread that writes a log: a disk that hangs, is full or syncs slowly delays no verdict."""

import threading
import time
from typing import Final

import structlog

from inspector.repeated import Repeated
from inspector.sinks.log.journal import Journal
from inspector.sinks.log.log_file import LogFile

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Most bytes of lines kept while the disk takes none, about 60 000 lines; later ones are lost and counted."""

TURN_S: Final = 0.02
"""Interval at which the thread looks for lines, seconds. Without a wake-up, handing one over costs little."""

SYNC_S: Final = 1.0
"""Interval between syncs to the disk, seconds: a power cut loses at most the verdicts since the last one."""

RETRY_S: Final = 0.2
"""Pause before retrying a disk that refused, seconds."""

CLOSE_S: Final = 5.0
"""Time for the disk at the end, seconds; `inspector run` kills a process that takes too long to stop."""

log = structlog.get_logger()


class LogWriter:
    """One log, and the lines not written to it yet."""

    def __init__(
        self, file: LogFile, journal: Journal | None = None, *, held: bytes = b"", wait: bool = False
    ) -> None:
        """Start the thread; `held` are lines to write first, which are already in the journal.

        `wait`: when the memory is full, block the caller (replay) instead of losing lines.
        """
        self._file, self._journal, self._wait = file, journal, wait
        self._held = bytearray(held)
        self._held_lines = held.count(b"\n")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._unkept_to = 0
        """Queued lines up to and including the last one that is not in the journal."""
        self._refused = self._sync_failed = False
        """The last write failed; the last sync, or putting the file back, failed."""
        self._sync_failures = Repeated()
        self._unsynced = False
        self.lost = 0
        """Lines that could not be kept."""
        self._thread = threading.Thread(target=self._serve, name=f"log {file.path.name}", daemon=True)
        self._thread.start()

    @property
    def unsafe(self) -> bool:
        """Whether new lines must wait for the disk before they survive a kill, or the disk refuses them."""
        return self._refused or self._sync_failed or (self._journal is not None and self._journal.failed)

    @property
    def unkept(self) -> int:
        """How many of the newest lines a kill would lose: neither in the journal nor in the file."""
        return self._held_lines if self._unkept_to else 0

    @property
    def waiting(self) -> int:
        """Lines not written to the disk yet."""
        return self._held_lines

    def put(self, lines: bytes | bytearray, count: int, places: dict[str, tuple[int, int]]) -> bool:
        """Queue `count` whole lines; False if they are lost because the memory is full.

        With a journal they survive this process once this returns, except those counted in `unkept`.
        """
        while self._wait and len(self._held) > MAX_HELD_BYTES and not self._refused:
            time.sleep(TURN_S)
        if len(self._held) > MAX_HELD_BYTES:
            self.lost += count
            return False
        kept = self._journal is not None and self._journal.append(lines, places)
        with self._lock:
            self._held += lines
            self._held_lines += count
            if not kept:
                self._unkept_to = self._held_lines
        return True

    def close(self) -> None:
        """Write what the disk takes; the rest is counted in `lost`. No partial line is left in the file."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        with self._lock:
            self.lost += self._held_lines
        if self.lost:
            log.error("log lines lost: the disk did not take them", lost=self.lost, path=str(self._file.path))
        if self._thread.is_alive():
            return  # the disk hangs: the thread ends with the process, the journal keeps the lines
        self._file.cut_torn_line()
        self._file.close()
        if self._journal is not None:
            self._journal.close()

    def _serve(self) -> None:
        due_s = time.monotonic() + SYNC_S
        while True:
            closing = self._closing.wait(TURN_S)
            try:
                taken = self._write()
                if closing or time.monotonic() >= due_s:
                    due_s = time.monotonic() + SYNC_S
                    self._look_after()
            except Exception:  # the thread must outlive any fault: without it no verdict reaches the disk
                taken = False
                log.exception("log thread failed", path=str(self._file.path))
            if closing:
                return
            if not taken:
                self._closing.wait(RETRY_S)

    def _write(self) -> bool:
        """Write all lines; False if the disk refuses."""
        file, journal = self._file, self._journal
        while self._held:
            with self._lock:
                lines = bytes(self._held)
            try:
                written = file.write(lines)
            except OSError as error:
                if not self._refused:
                    log.error(
                        "log cannot be written: its lines wait in memory",
                        path=str(file.path),
                        error=error.strerror,
                    )
                self._refused = True
                return False
            self._unsynced = True
            if journal is not None:
                journal.taken(written, file.inode, file.size)
            with self._lock:
                # After a short write the rest of a line stays here, and the next write completes it.
                del self._held[:written]
                count = lines.count(b"\n", 0, written)
                self._held_lines -= count
                self._unkept_to = max(0, self._unkept_to - count)
                if journal is not None and journal.failed and not self._held:
                    journal.restart(file.inode, file.size, str(file.path))
            if written == len(lines):
                if self._refused:
                    self._refused = False
                    log.info("log is written again", path=str(file.path))
                file.rotate()
        return True

    def _look_after(self) -> None:
        """Sync the file, and restore it if it was moved or deleted."""
        try:
            what = self._file.put_back()
            if what is not None:
                if self._journal is not None:
                    self._journal.taken(0, self._file.inode, self._file.size)
                log.error("log file was moved or deleted", path=str(self._file.path), done=what)
                self._unsynced = True
            if self._unsynced:
                self._file.sync()
                self._unsynced = False
            self._sync_failed = False
        except OSError as error:
            self._sync_failed = True
            if (times := self._sync_failures.due()) is not None:
                log.error(
                    "log cannot be synced to the disk",
                    path=str(self._file.path),
                    error=error.strerror,
                    times=times,
                )
