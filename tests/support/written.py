"""Verdicts for tests of what reads the log: written as decide writes them, with rotation."""

from pathlib import Path

import msgspec

from inspector.sinks.log.log_file import LogFile, Rotation
from inspector.values import Decision, Defect, Verdict

DAY_NS = 1_700_000_000_000_000_000

FRAME_NS = 100_000_000
"""Ten frames per second."""


def verdict(frame_id: int, *, defects: int = 0, camera: str = "top", epoch: int = 5) -> Verdict:
    """One frame's verdict; a frame with defects is rejected."""
    return Verdict(
        camera=camera,
        frame_id=frame_id,
        captured_ns=DAY_NS + frame_id * FRAME_NS,
        position_mm=128.0 * frame_id,
        coil=f"C-{frame_id // 500:04d}",
        decision=Decision.REJECT if defects else Decision.ACCEPT,
        reasons=("a defect",) * bool(defects),
        defects=tuple(
            Defect(f"{camera}-{frame_id}-{n}", 1, "bright", (n, 2, 3, 4), 12, 3.0, 10.0 + n, 20.0, 0.9)
            for n in range(defects)
        ),
        recipe="test@1",
        engine="test@2",
        ingest_epoch=epoch,
    )


class WrittenLog:
    """A verdict log that grows as decide's does."""

    def __init__(self, folder: Path, file_bytes: int = 100_000, keep: int = 100) -> None:
        self.file = LogFile(folder / "verdicts.jsonl", Rotation(file_bytes, keep))

    def write(self, *verdicts: Verdict) -> None:
        for each in verdicts:
            self.file.write(msgspec.json.encode(each) + b"\n")
            self.file.rotate()

    def frames(self, first: int, count: int, defect_every: int = 20) -> list[str]:
        """Write frames; every so many has two defects. Returns the keys of those."""
        keys = []
        for frame_id in range(first, first + count):
            made = verdict(frame_id, defects=0 if frame_id % defect_every else 2)
            self.write(made)
            keys += [f"defect:top:5:{frame_id}:{made.captured_ns}:{n}" for n in range(len(made.defects))]
        return keys
