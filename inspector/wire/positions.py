"""Where each camera's strip is now, in shared memory: an ingest that is started again counts on from there.

Without an encoder an ingest counts its frames. Each keeps its newest position in the folder of the links; one
that starts takes the newest of its line, moved on by the time since. So all cameras of a line mean the same steel
by one position, within what the strip's speed changed meanwhile.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LAYOUT: Final = struct.Struct("<dqd")

WRITE_NS: Final = 20_000_000
"""How often a position is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position of the strip at one time."""

    position_mm: float
    clock_ns: int
    """Monotonic clock."""
    mm_per_ns: float
    """The strip's speed."""

    def at(self, clock_ns: int) -> float:
        """The strip's position at another time, at the same speed."""
        return self.position_mm + self.mm_per_ns * (clock_ns - self.clock_ns)


class PlaceFile:
    """One camera's newest place."""

    def __init__(self, folder: Path, camera: str) -> None:
        """Raises OSError."""
        self._file = os.open(folder / f"position-{camera}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._last: Place | None = None

    def keep(self, position_mm: float, clock_ns: int) -> None:
        """The strip is here now; cheap enough for every frame."""
        last = self._last
        if last is not None and clock_ns - last.clock_ns < WRITE_NS:
            return
        speed = 0.0 if last is None else (position_mm - last.position_mm) / (clock_ns - last.clock_ns)
        self._last = Place(position_mm, clock_ns, speed)
        os.pwrite(self._file, _LAYOUT.pack(position_mm, clock_ns, speed), 0)

    def close(self) -> None:
        """The file stays: the next ingest of this camera reads it."""
        os.close(self._file)


def newest_place(folder: Path, cameras: list[str]) -> Place | None:
    """The place that was kept last by any of these cameras; None where none was."""
    found: list[Place] = []
    for camera in cameras:
        try:
            content = (folder / f"position-{camera}").read_bytes()
        except FileNotFoundError:
            continue
        if len(content) == _LAYOUT.size:
            found.append(Place(*_LAYOUT.unpack(content)))
    return max(found, key=lambda place: place.clock_ns, default=None)
