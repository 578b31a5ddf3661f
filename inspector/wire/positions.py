"""Strip positions in shared memory, so that a restarted ingest continues from the current one.

Without an encoder, ingest derives positions from its frame count. Each ingest stores its newest position in the
links folder. One that starts takes the newest position of its line, moved on by the time since then. So all
cameras of a line give the same steel the same position, except for speed changes in the meantime.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LAYOUT: Final = struct.Struct("<dqd")

WRITE_NS: Final = 20_000_000
"""Shortest time between two stored positions."""


@dataclass(frozen=True, slots=True)
class Place:
    """The strip's position and speed at one time."""

    position_mm: float
    clock_ns: int
    """Monotonic clock."""
    mm_per_ns: float
    """The strip's speed."""

    def at(self, clock_ns: int) -> float:
        """The strip's position at another time, at the same speed."""
        return self.position_mm + self.mm_per_ns * (clock_ns - self.clock_ns)


class PlaceFile:
    """Stores one camera's newest position."""

    def __init__(self, folder: Path, camera: str) -> None:
        """Open or create the file; raises OSError."""
        self._file = os.open(folder / f"position-{camera}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._last: Place | None = None

    def keep(self, position_mm: float, clock_ns: int) -> None:
        """Store the position unless the last one is newer than WRITE_NS; cheap enough for every frame."""
        last = self._last
        if last is not None and clock_ns - last.clock_ns < WRITE_NS:
            return
        speed = 0.0 if last is None else (position_mm - last.position_mm) / (clock_ns - last.clock_ns)
        self._last = Place(position_mm, clock_ns, speed)
        os.pwrite(self._file, _LAYOUT.pack(position_mm, clock_ns, speed), 0)

    def close(self) -> None:
        """Close the file, which stays for the camera's next ingest."""
        os.close(self._file)


def newest_place(folder: Path, cameras: list[str]) -> Place | None:
    """The newest position that any of these cameras has stored; None when none has."""
    found: list[Place] = []
    for camera in cameras:
        try:
            content = (folder / f"position-{camera}").read_bytes()
        except FileNotFoundError:
            continue
        if len(content) == _LAYOUT.size:
            found.append(Place(*_LAYOUT.unpack(content)))
    return max(found, key=lambda place: place.clock_ns, default=None)
