"""What a decide that was killed had written to its log and not yet to the database."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from inspector.sinks.records.rows import DefectBeginnings, Entry
from inspector.sinks.records.session import FrameKey
from inspector.values import Verdict


class EarlierVerdicts:
    """The verdicts that stand in the logs at the start; held open, as a log may be moved aside meanwhile."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self._open = ExitStack()
        files = [self._open.enter_context(path.open("rb")) for path in logs]
        self._files = [(file, os.fstat(file.fileno()).st_size) for file in files]

    def after(self, last: FrameKey | None, recorded_ns: int) -> Iterator[Entry]:
        """Those that come after the one recorded last; all where that is none of them, which writes none twice.

        Raises msgspec.DecodeError for a line that is no verdict, OSError.
        """
        found = last is None or not any(_key(verdict) == last for verdict in self._read())
        beginnings = DefectBeginnings()
        for verdict in self._read():
            entry = Entry(verdict, recorded_ns, beginnings.follow(verdict))
            if found:
                yield entry
            found = found or _key(verdict) == last

    def close(self) -> None:
        """Let go of the logs."""
        self._open.close()

    def _read(self) -> Iterator[Verdict]:
        decoder = msgspec.json.Decoder(Verdict)
        for file, size in self._files:
            file.seek(0)
            left = size
            for line in file:
                left -= len(line)
                if left < 0:
                    break
                yield decoder.decode(line)


def _key(verdict: Verdict) -> FrameKey:
    return (verdict.camera, verdict.captured_ns, verdict.frame_id)
