"""Verdicts in a run's logs that are not in the database yet."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from inspector.sinks.records.progress import Progress, place_of
from inspector.sinks.records.rows import DefectBeginnings, Entry
from inspector.values import Verdict

log = structlog.get_logger()


class EarlierVerdicts:
    """The verdicts now in the logs. The files stay open, because a log may be rotated meanwhile."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self._open = ExitStack()
        self._files: list[tuple[Path, BinaryIO, int]] = []
        self.read = 0
        """Verdicts read."""
        self.unreadable = 0
        """Lines that are not verdicts."""
        for path in logs:
            try:
                file = self._open.enter_context(path.open("rb"))
                self._files.append((path, file, os.fstat(file.fileno()).st_size))
            except OSError as error:
                _log_fault(path, error)

    def after(self, progress: Progress, recorded_ns: int) -> Iterator[Entry]:
        """Yield the verdicts after the last recorded one of their ingest, in the order of the logs."""
        for entry in self._entries(recorded_ns):
            if not progress.recorded(place_of(entry.verdict)):
                yield entry

    def not_deleted(self, progress: Progress, recorded_ns: int) -> Iterator[Entry]:
        """Yield all verdicts except those that retention has deleted."""
        for entry in self._entries(recorded_ns):
            if not progress.deleted(place_of(entry.verdict)):
                yield entry

    def close(self) -> None:
        """Close the logs."""
        self._open.close()

    def _entries(self, recorded_ns: int) -> Iterator[Entry]:
        beginnings = DefectBeginnings()
        for verdict in self._verdicts():
            yield Entry(verdict, recorded_ns, beginnings.follow(verdict))

    def _verdicts(self) -> Iterator[Verdict]:
        """Skip unreadable lines, with one warning per log: the verdicts after them are good."""
        decoder = msgspec.json.Decoder(Verdict)
        self.read = self.unreadable = 0
        for path, file, size in self._files:
            unreadable: list[str] = []
            for number, line in _lines(path, file, size):
                try:
                    verdict = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    unreadable.append(f"line {number}: {error}")
                    continue
                self.read += 1
                yield verdict
            if unreadable:
                self.unreadable += len(unreadable)
                log.warning(
                    "lines of the verdict log cannot be read: their verdicts are not in the database",
                    path=str(path),
                    lines=len(unreadable),
                    first=unreadable[0],
                )


def _lines(path: Path, file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines within the first `size` bytes."""
    left = size
    try:
        file.seek(0)
        for number, line in enumerate(file, start=1):
            left -= len(line)
            if left < 0 or not line.endswith(b"\n"):
                return
            yield number, line
    except OSError as error:
        _log_fault(path, error)


def _log_fault(path: Path, error: OSError) -> None:
    log.warning(
        "a verdict log cannot be read: its verdicts are not in the database",
        path=str(path),
        error=error.strerror or str(error),
    )
