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

SPEED_NS: Final = 1_000_000_000
"""Time over which the speed is measured: frames that arrive in a burst must not look like a fast strip."""

STANDSTILL_NS: Final = 500_000_000
"""Time without a frame after which a camera stores that the strip stands."""

FRESH_NS: Final = 10_000_000_000
"""An older position is not extrapolated, because it says nothing about the present one."""


@dataclass(frozen=True, slots=True)
class Place:
    """The strip's position and speed at one time."""

    position_mm: float
    monotonic_ns: int
    mm_per_ns: float
    """The strip's speed."""

    def at(self, monotonic_ns: int) -> float:
        """The strip's position at a later time, at the same speed."""
        age_ns = monotonic_ns - self.monotonic_ns
        return self.position_mm + (self.mm_per_ns * age_ns if 0 <= age_ns < FRESH_NS else 0.0)


class PlaceFile:
    """Stores one camera's newest position, and reads where the line's strip is."""

    def __init__(self, folder: Path, camera: str, cameras: list[str]) -> None:
        """Open or create the file; raises OSError. `cameras` are all cameras of the line."""
        self._folder, self._cameras = folder, cameras
        self._file = os.open(folder / f"position-{camera}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._last: Place | None = None
        self._anchor: tuple[float, int] | None = None
        """Position and time from which the speed is measured."""
        self._speed = 0.0

    def start_mm(self, monotonic_ns: int) -> float:
        """Where the strip is at a camera's first frame; 0 when no camera of the line has stored a position."""
        place = newest_place(self._folder, self._cameras, monotonic_ns)
        if place is None:
            return 0.0
        self._speed = place.mm_per_ns
        return place.at(monotonic_ns)

    def keep(self, position_mm: float, monotonic_ns: int) -> None:
        """Store the position unless the last one is newer than WRITE_NS; cheap enough for every frame."""
        if self._last is not None and monotonic_ns - self._last.monotonic_ns < WRITE_NS:
            return
        if self._anchor is None:
            self._anchor = (position_mm, monotonic_ns)
        anchor_mm, anchor_ns = self._anchor
        if monotonic_ns - anchor_ns >= SPEED_NS:
            self._speed = (position_mm - anchor_mm) / (monotonic_ns - anchor_ns)
            self._anchor = (position_mm, monotonic_ns)
        self._write(Place(position_mm, monotonic_ns, self._speed))

    def stands(self, monotonic_ns: int) -> None:
        """Note that no frame came; after STANDSTILL_NS the strip counts as standing."""
        last = self._last
        if last is not None and monotonic_ns - last.monotonic_ns >= STANDSTILL_NS:
            self._anchor, self._speed = None, 0.0
            self._write(Place(last.position_mm, monotonic_ns, 0.0))

    def _write(self, place: Place) -> None:
        self._last = place
        os.pwrite(self._file, _LAYOUT.pack(place.position_mm, place.monotonic_ns, place.mm_per_ns), 0)

    def close(self) -> None:
        """Close the file, which stays for the camera's next ingest."""
        os.close(self._file)


def newest_place(folder: Path, cameras: list[str], now_ns: int) -> Place | None:
    """The newest position that any of these cameras has stored since the PC started; None when none has."""
    found: list[Place] = []
    for camera in cameras:
        try:
            content = (folder / f"position-{camera}").read_bytes()
        except FileNotFoundError:
            continue
        if len(content) == _LAYOUT.size:
            found.append(Place(*_LAYOUT.unpack(content)))
    # A time in the future is from before a restart of the PC, which restarted the monotonic clock.
    found = [place for place in found if place.monotonic_ns <= now_ns]
    return max(found, key=lambda place: place.monotonic_ns, default=None)
