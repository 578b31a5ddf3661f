"""coils.jsonl: the coils' events, one per line, each on the disk before it is acknowledged."""

import errno
import os
import threading
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.core.strip.coils import CoilBook, CoilEnded, CoilEvent, CoilStarted, EventRefusedError
from inspector.core.strip.roll_alarms import RollAlarm, RollsChanged

JOURNAL_NAME: Final = "coils.jsonl"

log = structlog.get_logger()


class ResultTaken(msgspec.Struct, frozen=True, tag="taken", tag_field="event"):
    """Level 2 has acknowledged a coil's result."""

    number: int


class RunBegan(msgspec.Struct, frozen=True, tag="run", tag_field="event"):
    """A line started to write its verdicts into this folder."""

    folder: str
    at_ns: int
    position_mm: float = 0.0


Entry = CoilStarted | CoilEnded | ResultTaken | RunBegan | RollAlarm | RollsChanged

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Entry)


class Journal:
    """Reads the file once, then appends. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / JOURNAL_NAME
        self.book = CoilBook()
        self.taken: set[int] = set()
        """Numbers of the coils whose results Level 2 has."""
        self.runs: list[RunBegan] = []
        self.rolls: list[RollAlarm | RollsChanged] = []
        """Alarms and changes of rolls, oldest first."""
        self._lock = threading.Lock()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._read()

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            # A power cut interrupted the write. The event was not acknowledged, so its sender repeats it.
            os.ftruncate(self._file, whole)
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                self._apply(_decode.decode(line))
            except (msgspec.DecodeError, EventRefusedError) as error:
                log.error(
                    "a damaged line of the coils' journal is skipped",
                    path=str(self.path),
                    line=number,
                    error=str(error),
                )

    def _apply(self, entry: Entry) -> None:
        if isinstance(entry, ResultTaken):
            self.taken.add(entry.number)
        elif isinstance(entry, RunBegan):
            self.runs.append(entry)
        elif isinstance(entry, RollAlarm | RollsChanged):
            self.rolls.append(entry)
        else:
            self.book.apply(entry)

    def write(self, entry: Entry) -> None:
        """Append and apply an event, from any thread; a power cut cannot undo it then. Raises OSError."""
        with self._lock:
            size = os.fstat(self._file).st_size
            try:
                line = _encode(entry) + b"\n"
                if os.write(self._file, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, size)
                raise
            self._apply(entry)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


__all__ = ["CoilEvent", "Journal", "ResultTaken", "RunBegan"]
