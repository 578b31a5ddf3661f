"""gate.jsonl: what was sent to the gate, one line per write.

A verdict is in the verdict log before it is sent to the gate. After a kill, a verdict that is in that log but not
here was not sent, or was sent in the last 20 ms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from inspector.sinks.log.log_file import LogFile, Rotation
from inspector.sinks.log.log_writer import LogWriter

GATE_LOG_NAME: Final = "gate.jsonl"


class GateLine(msgspec.Struct, frozen=True):
    """One write to the gate."""

    told_ns: int
    """Time of the write, ns since 1970."""
    run: int
    first_sequence: int
    taken: bool
    """False: the gate did not confirm the write; it may or may not have taken it."""
    frames: tuple[tuple[str, int, int], ...]
    """Camera, ingest epoch and frame id of each verdict, in the order of their sequences; id −1 is the reject of
    steel that no frame of the camera shows."""


class GateLog:
    """Appends lines; a thread writes them to the disk."""

    def __init__(self, folder: Path, rotation: Rotation | None = None) -> None:
        file = LogFile(folder / GATE_LOG_NAME, rotation)
        file.cut_torn_line()
        self._writer = LogWriter(file)
        self._encoder = msgspec.json.Encoder()

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._writer.lost

    def told(
        self, told_ns: int, run: int, first_sequence: int, frames: Sequence[tuple[str, int, int]], *, taken: bool
    ) -> None:
        """Log one write."""
        line = self._encoder.encode(GateLine(told_ns, run, first_sequence, taken, tuple(frames)))
        self._writer.put(line + b"\n", 1, {})

    def close(self) -> None:
        """Write the queued lines and close the file."""
        self._writer.close()
