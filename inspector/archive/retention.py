"""Keeps the archive within its space and age: the oldest coils go first, marked ones stay."""

import os
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import structlog

from inspector.archive.coils import Kept, kept_coils
from inspector.config.archive import ArchiveSettings

GB: Final = 10**9
DAY_S: Final = 86_400.0

log = structlog.get_logger()

Marked = Callable[[], AbstractSet[str] | None]
"""Marked coils; None if the database cannot be asked."""


class Retention:
    """Deletes coils; it measures a coil that no longer grows once."""

    def __init__(self, folder: Path, settings: ArchiveSettings, marked: Marked) -> None:
        self._folder, self._settings, self._marked = folder, settings, marked
        self._sizes: dict[Path, int] = {}
        self._said = ""

    def sweep(self, in_use: AbstractSet[Path]) -> bool:
        """Delete the coils that must go; returns whether there is room to write."""
        coils = kept_coils(self._folder)
        free = [each for each in coils if each.folder not in in_use]
        total = sum(self._size(each, in_use) for each in coils)
        marked: AbstractSet[str] | None = set()
        if free and (self._too_big(total) or self._too_old(free[0])):
            marked = self._marked()
            if marked is None:
                self._say("the archive deletes nothing: the database cannot say which coils are marked")
                free = []
        for coil in free:
            if not (self._too_big(total) or self._too_old(coil)):
                break
            if marked is not None and coil.coil in marked:
                continue
            try:
                coil.delete()
            except OSError as error:
                self._say(f"{coil.folder} cannot be deleted: {error.strerror}")
                continue
            total -= self._sizes.pop(coil.folder, 0)
            log.info("archive: coil deleted", coil=coil.coil, folder=coil.folder.name)
        if self._too_big(total):
            self._say("the archive is full of marked coils, or the disk of other files: frames are not archived")
            return False
        if marked is not None:
            self._said = ""
        return True

    def _too_big(self, total: int) -> bool:
        disk = os.statvfs(self._folder)
        free_bytes = disk.f_bavail * disk.f_frsize
        return total > self._settings.max_gb * GB or free_bytes < self._settings.least_free_gb * GB

    def _too_old(self, coil: Kept) -> bool:
        keep_days = self._settings.keep_days
        return keep_days is not None and time.time() - coil.began_s > keep_days * DAY_S

    def _size(self, coil: Kept, in_use: AbstractSet[Path]) -> int:
        if coil.folder in in_use or coil.folder not in self._sizes:
            self._sizes[coil.folder] = coil.bytes()
        return self._sizes[coil.folder]

    def _say(self, what: str) -> None:
        if what != self._said:
            log.error(what, folder=str(self._folder))
        self._said = what
