"""The thread that writes the logs: a disk that hangs, fills up or syncs slowly holds up no verdict."""

import threading
import time
from typing import Final

import structlog

from inspector.sinks.log.journal import Journal
from inspector.sinks.log.log_file import LogFile

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Lines kept for a disk that takes none, some 60,000; what comes after that is lost and counted."""

TURN_S: Final = 0.02
"""How often the thread looks for lines. Nobody wakes it: handing over costs a verdict next to nothing."""

SYNC_S: Final = 1.0
"""How often what was written is made safe from a power cut, which costs the verdicts since then at most."""

RETRY_S: Final = 0.2
"""Pause before a disk that refused is tried again."""

CLOSE_S: Final = 5.0
"""At the end the disk has this long; `inspector run` kills a stage that needs longer than its own time."""

log = structlog.get_logger()


class LogWriter:
    """One log, and the lines it lacks."""

    def __init__(
        self, file: LogFile, journal: Journal | None = None, *, held: bytes = b"", wait: bool = False
    ) -> None:
        """`held` are lines to begin with, in the journal already. `wait`: a full memory holds up the caller, as a
        replay may, instead of losing lines."""
        self._file, self._journal, self._wait = file, journal, wait
        self._held = bytearray(held)
        self._held_lines = held.count(b"\n")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._refused = False
        """The disk took nothing the last time."""
        self._unsynced = False
        self.lost = 0
        """Lines that could not be kept."""
        self._thread = threading.Thread(target=self._serve, name=f"log {file.path.name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Lines that the disk has not taken yet."""
        return self._held_lines

    def put(self, lines: bytes | bytearray, count: int, places: dict[str, tuple[int, int]]) -> None:
        """Take `count` whole lines; with a journal they outlive this process once this returns."""
        while self._wait and len(self._held) > MAX_HELD_BYTES and not self._refused:
            time.sleep(TURN_S)
        if len(self._held) > MAX_HELD_BYTES:
            self.lost += count
            return
        if self._journal is not None:
            self._journal.append(lines, places)
        with self._lock:
            self._held += lines
            self._held_lines += count

    def close(self) -> None:
        """Write what can be written; lines that cannot are counted in `lost`, and no half line stays behind."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        with self._lock:
            self.lost += self._held_lines
        if self.lost:
            log.error("log lines lost: the disk did not take them", lost=self.lost, path=str(self._file.path))
        if self._thread.is_alive():
            return  # the disk hangs: the thread ends with the process, and a successor has the journal
        self._file.cut_torn_line()
        self._file.close()
        if self._journal is not None:
            self._journal.close()

    def _serve(self) -> None:
        due_s = time.monotonic() + SYNC_S
        while True:
            closing = self._closing.wait(TURN_S)
            taken = self._write()
            if not taken and not closing:
                self._closing.wait(RETRY_S)
            if closing or time.monotonic() >= due_s:
                due_s = time.monotonic() + SYNC_S
                self._look_after()
            if closing:
                return

    def _write(self) -> bool:
        """Write all lines; False where the disk refuses."""
        file, journal = self._file, self._journal
        while self._held:
            with self._lock:
                lines = bytes(self._held)
            try:
                written = file.write(lines)
            except OSError as error:
                if not self._refused:
                    log.error(
                        "log cannot be written: it is held in memory", path=str(file.path), error=error.strerror
                    )
                self._refused = True
                return False
            self._unsynced = True
            if journal is not None:
                journal.taken(written, file.inode, file.size)
            with self._lock:
                # A short write leaves the rest of a line here: the next write completes it.
                del self._held[:written]
                self._held_lines -= lines.count(b"\n", 0, written)
                if journal is not None and journal.failed and not self._held:
                    journal.restart(file.inode, file.size)
            if written == len(lines):
                if self._refused:
                    self._refused = False
                    log.info("log is written again", path=str(file.path))
                file.rotate()
        return True

    def _look_after(self) -> None:
        """Make what was written safe, and see that the file is still there."""
        try:
            what = self._file.put_back()
            if what is not None:
                if self._journal is not None:
                    self._journal.taken(0, self._file.inode, self._file.size)
                log.error("log file was taken away", path=str(self._file.path), done=what)
                self._unsynced = True
            if self._unsynced:
                self._file.sync()
                self._unsynced = False
        except OSError as error:
            if not self._refused:
                log.error("log cannot be made safe", path=str(self._file.path), error=error.strerror)
            self._refused = True
