"""verdicts.jsonl: one verdict a line, whole lines only, also when the disk is full or the process is killed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.values import Verdict

VERDICTS_NAME: Final = "verdicts.jsonl"

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Lines kept for a disk that is full, some 60,000; what comes after that is lost and counted."""

log = structlog.get_logger()


class VerdictLog:
    """Appends verdicts; what the disk does not take waits in memory and is tried again with the next ones."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / VERDICTS_NAME
        folder.mkdir(parents=True, exist_ok=True)
        cut_torn_line(self.path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self._full = False
        self.lost = 0
        """Verdicts that could not be written down; they were given all the same."""

    def write(self, verdict: Verdict) -> None:
        """Take one verdict; `flush` puts it on disk."""
        if len(self._lines) > MAX_HELD_BYTES:
            self.lost += 1
            return
        self._lines += self._encoder.encode(verdict)
        self._lines += b"\n"

    def flush(self) -> None:
        """Write what is held. A disk that refuses is logged once and tried again at the next call."""
        if not self._lines:
            return
        try:
            written = os.write(self._file, self._lines)
        except OSError as error:
            if not self._full:
                log.error(
                    "verdicts cannot be written: they are held in memory",
                    path=str(self.path),
                    error=str(error),
                )
            self._full = True
            return
        # A short write leaves the rest of a line here: the next write completes it.
        del self._lines[:written]
        if self._full and not self._lines:
            self._full = False
            log.info("verdicts are written again", path=str(self.path))

    def close(self) -> None:
        """Write what can be written; lines that cannot are counted in `lost`, and no half line stays behind."""
        self.flush()
        if self._lines:
            self.lost += self._lines.count(b"\n")
        os.close(self._file)
        cut_torn_line(self.path)
        if self.lost:
            log.error("verdicts lost: the disk did not take them", lost=self.lost, path=str(self.path))


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """The verdicts of a log, in order; raises msgspec.DecodeError for a line that is none."""
    decoder = msgspec.json.Decoder(Verdict)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


def cut_torn_line(path: Path) -> None:
    """Cut off what a killed writer left behind its last whole line."""
    try:
        with path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            whole = end
            while whole > 0:
                start = max(0, whole - 65_536)
                file.seek(start)
                place = file.read(whole - start).rfind(b"\n")
                if place >= 0:
                    whole = start + place + 1
                    break
                whole = start
            if whole < end:
                log.warning("cut a torn line off the verdict log", path=str(path), bytes=end - whole)
                file.truncate(whole)
    except FileNotFoundError:
        return
