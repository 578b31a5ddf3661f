"""Folders of the archive: one for each coil, in it one for each camera, in it the recordings 000001, 000002, …"""

import shutil
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

NO_COIL: Final = ""
"""Frames without a coil go into a folder of their day."""

_STAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Kept:
    """One coil in the archive."""

    folder: Path
    coil: str
    began_s: float
    """Seconds since 1970, from the folder's name."""

    def bytes(self) -> int:
        """Space on the disk."""
        return sum(each.stat().st_blocks * 512 for each in self.folder.rglob("*") if each.is_file())

    def delete(self) -> None:
        """Delete it. Raises OSError."""
        shutil.rmtree(self.folder)


def kept_coils(archive: Path) -> list[Kept]:
    """All coils in the archive, oldest first; other folders are left alone."""
    found = []
    for folder in archive.iterdir() if archive.is_dir() else ():
        stamp, underscore, coil = folder.name.partition("_")
        try:
            began = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        except ValueError:
            continue
        if underscore and folder.is_dir():
            found.append(Kept(folder, unquote(coil), began.timestamp()))
    return sorted(found, key=lambda each: (each.began_s, each.folder.name))


class CoilFolders:
    """Gives each coil its folder; the cameras of a line share it, also over a restart."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._newest = {each.coil: each.folder for each in kept_coils(archive)[-2:]}

    def segment(self, coil: str | None, camera: str, captured_ns: int) -> Path:
        """A folder for the next recording of a coil and camera; it does not exist yet."""
        name = coil or NO_COIL
        folder = self._newest.get(name)
        if folder is None or (name == NO_COIL and not folder.name.startswith(_day(captured_ns))):
            stamp = time.strftime(_STAMP, time.gmtime(captured_ns / 1e9))
            folder = self._archive / f"{stamp}_{quote(name, safe='')}"
            # A coil that returns after another one gets a new folder.
            self._newest = dict(list(self._newest.items())[-1:]) | {name: folder}
        before = [int(each.name) for each in (folder / camera).glob("[0-9]*")]
        return folder / camera / f"{max(before, default=0) + 1:06d}"

    @property
    def in_use(self) -> AbstractSet[Path]:
        """Folders that may still grow."""
        return set(self._newest.values())


def _day(captured_ns: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(captured_ns / 1e9))
