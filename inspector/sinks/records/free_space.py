"""Free space: how much is missing, and how much deleting could free."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from inspector.errors import ConfigError

BYTES_PER_GB: Final = 10**9

MOST_SHARE: Final = 0.9
"""Largest share of all deletable data that may be deleted for free space.

If more would have to go, something else fills the disk or the limit is wrong.
"""

MEASURE_EVERY_NS: Final = 3600 * 10**9
"""Interval between two measurements, ns: each one looks at all pictures."""

PIECE_FILES: Final = 1000
"""Pictures measured in one piece of work."""


class FreeSpace:
    """Free space on the disks of the pictures and of SQLite's file (None for a server)."""

    def __init__(
        self, least_free_gb: float | None, pictures: Path, database: Path | None, free: Callable[[Path], int]
    ) -> None:
        self.least_free_gb = least_free_gb
        self.pictures, self.database = pictures, database
        self._free = free
        self._pictures_bytes = self._measured_ns = 0

    def short(self) -> list[Path]:
        """Return the paths whose disk has too little free space."""
        return [place for place in (self.pictures, self.database) if place is not None and self.is_short(place)]

    def is_short(self, place: Path) -> bool:
        """Whether a path's disk has too little free space."""
        return self._missing_bytes(place) > 0

    def free_gb(self, place: Path) -> float:
        """Free space in GB, rounded for a log."""
        return round(self._free(place) / BYTES_PER_GB, 3)

    def measure(self, folders: Sequence[Path], now_ns: int) -> Iterator[None]:
        """Measure the size of all pictures, one piece per step. Raises OSError."""
        if self._measured_ns and abs(now_ns - self._measured_ns) < MEASURE_EVERY_NS:
            return
        total = 0
        for folder in folders:
            files = files_in(folder)
            while piece := list(islice(files, PIECE_FILES)):
                total += sum(_size(path) for path in piece)
                yield
        self._pictures_bytes, self._measured_ns = total, now_ns

    def too_much(self, place: Path) -> bool:
        """Whether more than MOST_SHARE of the deletable data would have to go."""
        could_go = 0
        if _same_disk(place, self.pictures):
            could_go += self._pictures_bytes
        if self.database is not None and _same_disk(place, self.database):
            could_go += _size(self.database)
        return self._missing_bytes(place) > MOST_SHARE * could_go

    def _missing_bytes(self, place: Path) -> float:
        return 0.0 if self.least_free_gb is None else self.least_free_gb * BYTES_PER_GB - self._free(place)


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk of a path, which need not exist yet."""
    return shutil.disk_usage(_existing(path)).free


def refuse_more_than_the_disk(least_free_gb: float | None, places: Sequence[Path]) -> None:
    """Raise ConfigError for a limit larger than the disk, which no deleting can meet."""
    if least_free_gb is None:
        return
    for folder in map(_existing, places):
        total = shutil.disk_usage(folder).total
        if least_free_gb * BYTES_PER_GB >= total:
            raise ConfigError(
                f"records.least_free_gb: {least_free_gb:g} GB are never free: the disk of {folder} has "
                f"{total / BYTES_PER_GB:.0f} GB in all: give less"
            )


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the folder's files; none if it does not exist. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield Path(entry.path)
    except FileNotFoundError:
        return


def _existing(path: Path) -> Path:
    """The path, or its nearest existing parent."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _same_disk(one: Path, other: Path) -> bool:
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
