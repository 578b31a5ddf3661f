"""Folders of the archive: one for each coil, in it one for each camera, in it the recordings 000001, 000002, …"""

import errno
import hashlib
import os
import re
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

SEGMENT: Final = re.compile(r"[0-9]{6,}")
"""Name of a recording's folder."""

_STAMP: Final = "%Y%m%dT%H%M%SZ"

_LONGEST_NAME: Final = 255 - len("20261129T060000Z_")
"""Most bytes of a coil's name in its folder's: a file system takes 255 in all."""

_DIGEST_CHARACTERS: Final = 16


def name_in_folder(coil: str) -> str:
    """A coil's name as part of a file name; a long one is cut and ends with a hash."""
    name = quote(coil, safe="")
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(coil.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    while len(name) + 1 + len(digest) > _LONGEST_NAME:
        coil = coil[:-1]
        name = quote(coil, safe="")
    return f"{name}~{digest}"


@dataclass(frozen=True, slots=True)
class Kept:
    """One coil in the archive."""

    folder: Path
    name: str
    """As in the folder's name."""
    began_s: float
    """Seconds since 1970, from the folder's name."""

    @property
    def coil(self) -> str:
        """Its name for people; a long one is cut."""
        return unquote(self.name)

    def bytes(self) -> int:
        """Space on the disk. Raises OSError."""
        return sum(each.stat().st_blocks * 512 for each in self.folder.rglob("*") if each.is_file())

    def delete(self) -> None:
        """Delete it. Raises OSError."""
        shutil.rmtree(self.folder)


def kept_coils(archive: Path) -> list[Kept]:
    """All coils in the archive, oldest first; other folders are left alone. Raises OSError without the archive."""
    found = []
    for folder in archive.iterdir():
        stamp, underscore, name = folder.name.partition("_")
        try:
            began = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        except ValueError:
            continue
        if underscore and folder.is_dir():
            found.append(Kept(folder, name, began.timestamp()))
    return sorted(found, key=lambda each: (each.began_s, each.folder.name))


class CoilFolders:
    """Gives each coil its folder; the cameras of a line share it, also over a restart."""

    def __init__(self, archive: Path) -> None:
        """Raises OSError."""
        self._archive = archive
        self._newest = {each.name: each.folder for each in kept_coils(archive)[-2:]}

    def check(self) -> None:
        """Raise OSError if the archive is gone: a recording must not make it again, on another disk."""
        if not self._archive.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._archive))

    def segment(self, coil: str | None, camera: str, captured_ns: int) -> Path:
        """A folder for the next recording of a coil and camera; it does not exist yet."""
        name = name_in_folder(coil or NO_COIL)
        folder = self._newest.get(name)
        if folder is None or (name == NO_COIL and not folder.name.startswith(_day(captured_ns))):
            stamp = time.strftime(_STAMP, time.gmtime(captured_ns / 1e9))
            folder = self._archive / f"{stamp}_{name}"
            # A coil that returns after another one gets a new folder.
            self._newest = dict(list(self._newest.items())[-1:]) | {name: folder}
        before = [int(each.name) for each in (folder / camera).glob("[0-9]*") if SEGMENT.fullmatch(each.name)]
        return folder / camera / f"{max(before, default=0) + 1:06d}"

    @property
    def in_use(self) -> AbstractSet[Path]:
        """Folders that may still grow."""
        return set(self._newest.values())


def _day(captured_ns: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(captured_ns / 1e9))
