"""What a decide that was killed had written to its log and not yet to the database."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from inspector.sinks.records.rows import DefectBeginnings, Entry
from inspector.sinks.records.session import FrameKey
from inspector.values import Verdict


class EarlierVerdicts:
    """The verdicts that stand in the log at the start; held open, so that a log that is rotated can be read on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._end = os.fstat(self._file.fileno()).st_size

    def after(self, last: FrameKey | None, recorded_ns: int) -> Iterator[Entry]:
        """Those that come after the one recorded last; all where that is none of them, which writes none twice.

        Raises msgspec.DecodeError for a line that is no verdict, OSError.
        """
        found = last is None or not any(self._key(verdict) == last for verdict in self._read())
        beginnings = DefectBeginnings()
        for verdict in self._read():
            entry = Entry(verdict, recorded_ns, beginnings.follow(verdict))
            if found:
                yield entry
            found = found or self._key(verdict) == last

    def close(self) -> None:
        """Let go of the log."""
        self._file.close()

    def _read(self) -> Iterator[Verdict]:
        decoder = msgspec.json.Decoder(Verdict)
        self._file.seek(0)
        left = self._end
        for line in self._file:
            left -= len(line)
            if left < 0:
                return
            yield decoder.decode(line)

    def _key(self, verdict: Verdict) -> FrameKey:
        return (verdict.camera, verdict.captured_ns, verdict.frame_id)
