"""Units of work: the frames of one coil that one camera has seen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.sources.recording_format import RECORDING_NAME, SIDECAR_NAME

_SEGMENT: Final = re.compile(r"\d{6,}")
"""Folders of recordings that belong together: 000001, 000002, … of one coil and camera."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work."""

    name: str
    """Path in the archive."""
    recordings: tuple[Path, ...]
    """In the order of the strip."""
    frames: int

    @property
    def folder(self) -> str:
        """A name for its folder of results."""
        return self.name.replace("%", "%25").replace("/", "%2F")


def find_units(archive: Path) -> list[Unit]:
    """The units of an archive, in the order of their names. Raises InputError for a folder without recordings."""
    if not archive.is_dir():
        raise InputError(f"{archive}: is not a folder: give an archive, or a folder of recordings")
    parts: dict[Path, list[Path]] = {}
    for found in sorted(_recordings(archive)):
        whole = found.parent if _SEGMENT.fullmatch(found.name) and found != archive else found
        parts.setdefault(whole, []).append(found)
    if not parts:
        raise InputError(f"{archive}: holds no recording ({RECORDING_NAME}): give an archive")
    return [
        Unit(str(whole.relative_to(archive.parent)), tuple(of), sum(map(_frames, of)))
        for whole, of in parts.items()
    ]


def _recordings(folder: Path) -> Iterator[Path]:
    for index in folder.rglob(RECORDING_NAME):
        if (index.parent / SIDECAR_NAME).exists():
            yield index.parent


def _frames(recording: Path) -> int:
    with (recording / SIDECAR_NAME).open("rb") as lines:
        return sum(piece.count(b"\n") for piece in iter(lambda: lines.read(1 << 20), b""))
