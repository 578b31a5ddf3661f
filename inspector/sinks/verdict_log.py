"""verdicts.jsonl: one verdict a line, whole lines only, also when the disk is full or the process is killed.

A run keeps one file. A service, which runs for months, moves a full one to verdicts-000001.jsonl and so on, and
keeps the newest of them: numbers, not times, as a PC's clock may be set back.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.values import Verdict

VERDICTS_NAME: Final = "verdicts.jsonl"

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Lines kept for a disk that is full, some 60,000; what comes after that is lost and counted."""

LOOK_BACK_FILES: Final = 4
"""Files that are searched for a camera's last frame: a camera that runs is in the newest one."""

_FULL_NAME: Final = re.compile(r"verdicts-(\d{6,})\.jsonl")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a service begins a new file, and how many full ones it keeps."""

    file_bytes: int
    keep: int


class _Place(msgspec.Struct, frozen=True):
    """What is read of a verdict to go on after it."""

    camera: str
    frame_id: int


class VerdictLog:
    """Appends verdicts; what the disk does not take waits in memory and is tried again with the next ones."""

    def __init__(self, folder: Path, rotation: Rotation | None = None) -> None:
        self.path = folder / VERDICTS_NAME
        self._rotation = rotation
        folder.mkdir(parents=True, exist_ok=True)
        cut_torn_line(self.path)
        self._file = self._open()
        self._size = os.fstat(self._file).st_size
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self._full = False
        self.lost = 0
        """Verdicts that could not be written down; they were given all the same."""

    def write(self, verdict: Verdict) -> None:
        """Take one verdict; `flush` puts it on disk."""
        if len(self._lines) > MAX_HELD_BYTES:
            self.lost += 1
            return
        self._lines += self._encoder.encode(verdict)
        self._lines += b"\n"

    def flush(self) -> None:
        """Write what is held. A disk that refuses is logged once and tried again at the next call."""
        if not self._lines:
            return
        try:
            written = os.write(self._file, self._lines)
        except OSError as error:
            if not self._full:
                log.error(
                    "verdicts cannot be written: they are held in memory",
                    path=str(self.path),
                    error=str(error),
                )
            self._full = True
            return
        # A short write leaves the rest of a line here: the next write completes it.
        del self._lines[:written]
        self._size += written
        if self._full and not self._lines:
            self._full = False
            log.info("verdicts are written again", path=str(self.path))
        if self._rotation is not None and self._size >= self._rotation.file_bytes and not self._lines:
            self._begin_new_file(self._rotation.keep)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def _begin_new_file(self, keep: int) -> None:
        """A disk that refuses leaves things as they are: the file grows until it does not."""
        full = full_files(self.path.parent)
        number = _number(full[-1]) + 1 if full else 1
        moved = self.path.with_name(f"verdicts-{number:06d}.jsonl")
        try:
            self.path.rename(moved)
            try:
                file = self._open()
            except OSError:
                moved.rename(self.path)
                raise
        except OSError as error:
            log.error("verdict log cannot begin a new file", path=str(self.path), error=str(error))
            return
        os.close(self._file)
        self._file, self._size = file, 0
        for old in [*full, moved][:-keep]:
            with contextlib.suppress(FileNotFoundError):
                old.unlink()

    def close(self) -> None:
        """Write what can be written; lines that cannot are counted in `lost`, and no half line stays behind."""
        self.flush()
        if self._lines:
            self.lost += self._lines.count(b"\n")
        os.close(self._file)
        cut_torn_line(self.path)
        if self.lost:
            log.error("verdicts lost: the disk did not take them", lost=self.lost, path=str(self.path))


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """The verdicts of a log, in order; raises msgspec.DecodeError for a line that is none."""
    decoder = msgspec.json.Decoder(Verdict)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


def full_files(folder: Path) -> list[Path]:
    """The files a service has moved aside, oldest first."""
    return sorted(
        (path for path in folder.glob("verdicts-*.jsonl") if _FULL_NAME.fullmatch(path.name)), key=_number
    )


def _number(path: Path) -> int:
    found = _FULL_NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def last_frames(folder: Path, cameras: list[str]) -> dict[str, int]:
    """The last frame of each camera that a verdict was written for, looked for in the newest files first."""
    decoder = msgspec.json.Decoder(_Place)
    found: dict[str, int] = {}
    for path in [folder / VERDICTS_NAME, *reversed(full_files(folder))][:LOOK_BACK_FILES]:
        in_file: dict[str, int] = {}
        with path.open("rb") as lines:
            for line in lines:
                try:
                    place = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    # A power cut may leave a block of a file as it never was; that is no reason not to start.
                    log.warning("a line of the verdict log cannot be read", path=str(path), error=str(error))
                    continue
                in_file[place.camera] = place.frame_id
        found = in_file | found
        if found.keys() >= set(cameras):
            break
    return found


def cut_torn_line(path: Path) -> None:
    """Cut off what a killed writer left behind its last whole line."""
    try:
        with path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            whole = end
            while whole > 0:
                start = max(0, whole - 65_536)
                file.seek(start)
                place = file.read(whole - start).rfind(b"\n")
                if place >= 0:
                    whole = start + place + 1
                    break
                whole = start
            if whole < end:
                log.warning("cut a torn line off the verdict log", path=str(path), bytes=end - whole)
                file.truncate(whole)
    except FileNotFoundError:
        return
