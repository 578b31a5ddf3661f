"""Units of work: the frames of one coil that one camera has seen."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from inspector.archive.coils import SEGMENT
from inspector.errors import InputError, SourceError
from inspector.sources.recording.format import RECORDING_NAME, SIDECAR_NAME, VIDEO_NAME, Line
from inspector.sources.recording.source import RecordingSource

_LONGEST_FOLDER: Final = 200
"""Most bytes of the name of a unit's folder of results."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work."""

    name: str
    """Path in the archive."""
    recordings: tuple[Path, ...] = ()
    """In the order of the strip; recordings 000001, 000002, … of one coil and camera belong together."""
    frames: int = 0
    damaged: tuple[tuple[str, str], ...] = ()
    """Path and damage of its recordings that cannot be replayed, which are left out."""
    plan: str = ""
    """Plan that judges it; empty for the line's recipe."""

    @property
    def folder(self) -> str:
        """A name for its folder of results; a long one is cut and ends with a hash."""
        name = self.name.replace("%", "%25").replace("/", "%2F")
        if len(os.fsencode(name)) <= _LONGEST_FOLDER:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return f"{os.fsencode(name)[: _LONGEST_FOLDER - 17].decode(errors='ignore')}~{digest}"

    def lines(self) -> Iterator[Line]:
        """What its recordings note of each frame; nothing after a torn line. Raises OSError."""
        decoder = msgspec.json.Decoder(Line)
        for recording in self.recordings:
            with (recording / SIDECAR_NAME).open("rb") as lines:
                for line in lines:
                    try:
                        yield decoder.decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                        break


def find_units(archive: Path) -> list[Unit]:
    """The units of an archive, in the order of their names. Raises InputError for a folder without recordings."""
    if not archive.is_dir():
        raise InputError(f"{archive}: is not a folder: give an archive, or a folder of recordings")
    units: dict[Path, Unit] = {}
    for found in sorted(_recordings(archive)):
        whole = found.parent if SEGMENT.fullmatch(found.name) and found != archive else found
        unit = units.get(whole) or Unit(str(whole.relative_to(archive.parent)))
        name = str(found.relative_to(archive.parent))
        try:
            frames = _frames(found)
            units[whole] = replace(unit, recordings=(*unit.recordings, found), frames=unit.frames + frames)
        except (SourceError, OSError) as error:
            units[whole] = replace(unit, damaged=(*unit.damaged, (name, str(error))))
    if not units:
        raise InputError(f"{archive}: holds no recording ({RECORDING_NAME}): give an archive")
    return list(units.values())


def _recordings(archive: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(archive):
        begun = RECORDING_NAME in files and VIDEO_NAME not in files and SIDECAR_NAME not in files
        if {RECORDING_NAME, SIDECAR_NAME} & set(files) and not begun:
            yield Path(folder)


def _frames(recording: Path) -> int:
    """Number of its frames. Raises SourceError or OSError for one that cannot be replayed."""
    index, video = RecordingSource(recording).index, recording / VIDEO_NAME
    with (recording / SIDECAR_NAME).open("rb") as lines:
        frames = sum(piece.count(b"\n") for piece in iter(lambda: lines.read(1 << 20), b""))
    if index.height is not None and not (video.exists() and video.stat().st_size):
        raise SourceError(f"{video}: is missing or empty: copy the whole recording again")
    return frames
