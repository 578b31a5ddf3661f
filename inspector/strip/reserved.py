"""position: how far the strip's positions may have been given, on a disk, so that a power cut repeats none."""

import math
import os
from pathlib import Path
from typing import Final

import structlog

NAME: Final = "position"

RESERVE_MM: Final = 50_000.0
"""How far ahead of the strip positions are reserved, mm: at 30 m/s the disk is written to once in 0.8 s."""

_DIGITS: Final = 20

log = structlog.get_logger()


class ReservedPosition:
    """The file in the strip's folder. Raises OSError when it cannot be opened."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            self.mm = float(os.pread(self._file, _DIGITS + 1, 0) or 0.0)
            if not math.isfinite(self.mm):
                raise ValueError
        except ValueError:
            log.error("the strip's last position cannot be read", path=str(folder / NAME))
            self.mm = 0.0
        self._failed = False

    def keep(self, position_mm: float) -> None:
        """Reserve more positions when the strip nears the end of those reserved; on reverse travel they stay."""
        if position_mm + RESERVE_MM / 2 > self.mm:
            self._write(position_mm + RESERVE_MM)

    def close(self, position_mm: float) -> None:
        """Write the position itself: nothing was given beyond it."""
        self._write(max(position_mm, self.mm - RESERVE_MM))
        os.close(self._file)

    def _write(self, position_mm: float) -> None:
        try:
            os.pwrite(self._file, f"{position_mm:{_DIGITS}.1f}\n".encode(), 0)
            os.fdatasync(self._file)
        except OSError as error:
            if not self._failed:
                log.error("the strip's position cannot be kept over a power cut", error=error.strerror)
            self._failed = True
            return
        self._failed, self.mm = False, position_mm
