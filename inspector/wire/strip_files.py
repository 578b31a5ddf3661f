"""Position and coils from the strip process to ingest: two small files in the links folder, read without waiting.

`strip-track` holds the newest samples of the encoder and the generation of `strip-coils`, which is read again only
when that changes. A reader detects a half-written track by its checksum, and keeps the previous one.
"""

import math
import os
import struct
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from inspector.core.strip.odometer import Sample, Scale, Speeds
from inspector.core.strip.track import TRACK_SAMPLES, Coverage, place_at
from inspector.files import write_whole
from inspector.values import StripPlace
from inspector.wire.carried_counts import CarriedCounts

TRACK_NAME: Final = "strip-track"
COILS_NAME: Final = "strip-coils"

_HEAD: Final = struct.Struct("<IIQd")
"""Version, samples, generation of the coils, newest counter (NaN without one)."""
_SAMPLE: Final = struct.Struct("<qddIB")
_CHECK: Final = struct.Struct("<I")
_VERSION: Final = 2
_LONGEST: Final = _HEAD.size + TRACK_SAMPLES * _SAMPLE.size + _CHECK.size

KNOWN_COILS: Final = 32
"""Newest coils that ingest knows; reverse travel may bring an earlier one back."""

log = structlog.get_logger()


class CoilPlace(msgspec.Struct, frozen=True, array_like=True):
    """The part of a coil that ingest needs."""

    id: str
    start_mm: float
    end_mm: float | None
    """None while it runs."""
    plan: str
    """Identity of the recipe that judges it."""
    width_mm: float | None = None
    """Stated width; None for an unknown one."""


class Track(msgspec.Struct, frozen=True):
    """Content of `strip-track`."""

    samples: tuple[Sample, ...] = ()
    generation: int = 0
    count: float | None = None


class TrackWriter:
    """Writes both files. Only the strip process uses it."""

    def __init__(self, folder: Path) -> None:
        """Open or create the track; raises OSError."""
        self._folder = folder
        self._file = os.open(folder / TRACK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        # Start with the earlier process's samples, so that the position stays known until the first reading.
        before = read_track(folder) or Track()
        self._samples, self._count = list(before.samples), before.count
        # A generation that no earlier process has used, so that ingest reads the coils again.
        self._generation = time.monotonic_ns()

    @property
    def samples(self) -> list[Sample]:
        """The newest samples."""
        return self._samples

    def add(self, sample: Sample, count: float | None) -> None:
        """Publish a sample."""
        self._samples = [*self._samples[-(TRACK_SAMPLES - 1) :], sample]
        self._count = count
        self._write()

    def coils(self, coils: Sequence[CoilPlace]) -> None:
        """Publish the coils, oldest first. Raises OSError."""
        write_whole(self._folder / COILS_NAME, msgspec.msgpack.encode(coils[-KNOWN_COILS:]), sync=False)
        self._generation += 1
        self._write()

    def _write(self) -> None:
        count = float("nan") if self._count is None else self._count
        content = _HEAD.pack(_VERSION, len(self._samples), self._generation, count)
        content += b"".join(_SAMPLE.pack(*msgspec.structs.astuple(each)) for each in self._samples)
        os.pwrite(self._file, content + _CHECK.pack(zlib.crc32(content)), 0)

    def close(self) -> None:
        """Close the files, which stay for the next process."""
        os.close(self._file)


def _head(content: bytes) -> tuple[int, int, float] | None:
    """Return (samples, generation, counter); None for a half-written or foreign track."""
    if len(content) < _HEAD.size:
        return None
    version, samples, generation, count = _HEAD.unpack_from(content)
    size = _HEAD.size + samples * _SAMPLE.size
    if version != _VERSION or samples > TRACK_SAMPLES or len(content) < size + _CHECK.size:
        return None
    if zlib.crc32(memoryview(content)[:size]) != _CHECK.unpack_from(content, size)[0]:
        return None
    return samples, generation, count


def decode_track(content: bytes) -> Track | None:
    """Decode the whole track; None for a half-written or foreign one."""
    head = _head(content)
    if head is None:
        return None
    samples, generation, count = head
    found = tuple(_sample(content, index) for index in range(samples))
    return Track(found, generation, None if math.isnan(count) else count)


def _sample(content: bytes, index: int) -> Sample:
    at_ns, position_mm, speed_mm_s, zero, sure = _SAMPLE.unpack_from(content, _HEAD.size + index * _SAMPLE.size)
    return Sample(at_ns, position_mm, speed_mm_s, zero, bool(sure))


def _around(content: bytes, samples: int, monotonic_ns: int) -> list[Sample]:
    """Return the samples before and after a time, searching from the newest, because the time is recent."""
    later: list[Sample] = []
    for index in range(samples - 1, -1, -1):
        sample = _sample(content, index)
        if sample.monotonic_ns <= monotonic_ns:
            return [sample, *later]
        later = [sample]
    return later


def read_track(folder: Path) -> Track | None:
    """Return an earlier process's track; None without one, or if the PC has restarted since."""
    try:
        track = decode_track((folder / TRACK_NAME).read_bytes())
    except FileNotFoundError:
        return None
    if track is None or (track.samples and track.samples[-1].monotonic_ns > time.monotonic_ns()):
        return None
    return track


class Located(NamedTuple):
    """Where a frame lies."""

    position_mm: float
    """Of its first row."""
    mark: StripPlace
    zero: int | None
    """`Sample.zero`; None for a counted position."""
    coil: str | None = None
    plan: str = ""
    """Identity; empty without a coil."""
    next_plan: str = ""
    """Identity of the plan of a coil that begins in this frame."""
    width_mm: float | None = None
    """Stated width of the widest coil in this frame; None if it is unknown."""


class StripReader:
    """Finds the position and the coil of one camera's frames, in ingest."""

    def __init__(
        self,
        folder: Path,
        speeds: Speeds,
        offset_along_mm: float = 0.0,
        carried: Scale | None = None,
    ) -> None:
        """The files may not be there yet. `offset_along_mm` is the camera's place after the line's zero.
        `carried` is the scale of the counts that this camera's frames carry; None for every other camera."""
        self._carried = None if carried is None else CarriedCounts(folder, carried, speeds)
        self._folder, self._offset_mm = folder, offset_along_mm
        self._file: int | None = None
        self._inode = 0
        self._content, self._samples = b"", 0
        """The newest whole track, and how many samples it has."""
        self._count = math.nan
        """The counter of the newest sample."""
        self._coils: list[CoilPlace] = []
        self._generation = 0
        self._coverage = Coverage(speeds)
        self._zero: int | None = None

    def locate(self, monotonic_ns: int, length_mm: float, counted_mm: float, count: int | None = None) -> Located:
        """Return the place of the frame captured at this time.

        `counted_mm` is where the frame lies if the strip process does not say, `count` the encoder's count that
        the frame carries.
        """
        self._refresh()
        found = place_at(_around(self._content, self._samples, monotonic_ns), monotonic_ns)
        if self._carried is not None:
            newest = _sample(self._content, self._samples - 1) if self._samples else None
            found = self._carried.place(monotonic_ns, count, newest, self._count) or found
        if found is None:
            position_mm, place, zero = counted_mm, self._coverage.unknown(), None
        else:
            if found.zero != self._zero:
                self._zero = found.zero
                self._coverage.unknown()
            position_mm, zero = found.position_mm - self._offset_mm, found.zero
            place = self._coverage.mark(position_mm, length_mm, found.speed_mm_s)
        coil, begins = self._coil_at(position_mm), self._coil_at(position_mm + length_mm)
        next_plan = "" if begins is None or begins == coil else begins.plan
        widths = [None if each is None else each.width_mm for each in (coil, begins)]
        width_mm = None if None in widths else max(width for width in widths if width is not None)
        if coil is None:
            return Located(position_mm, place, zero, next_plan=next_plan)
        place = msgspec.structs.replace(place, coil_mm=round(position_mm - coil.start_mm, 1))
        return Located(position_mm, place, zero, coil.id, coil.plan, next_plan, width_mm)

    def _coil_at(self, position_mm: float) -> CoilPlace | None:
        for coil in reversed(self._coils):
            if coil.start_mm <= position_mm:
                return coil if coil.end_mm is None or position_mm < coil.end_mm else None
        return None

    def _refresh(self) -> None:
        if self._file is None:
            try:
                self._file = os.open(self._folder / TRACK_NAME, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
        content = os.pread(self._file, _LONGEST, 0)
        head = _head(content)
        if head is None:
            return
        self._content = content
        self._samples, generation, self._count = head
        if generation != self._generation:
            self._read_coils(generation)

    def _read_coils(self, generation: int) -> None:
        try:
            content = (self._folder / COILS_NAME).read_bytes()
            self._coils = msgspec.msgpack.decode(content, type=list[CoilPlace])
        except FileNotFoundError:
            self._coils = []
        except (OSError, msgspec.DecodeError) as error:
            log.warning("the coils cannot be read: frames get the last known coil", error=str(error))
        self._generation = generation

    def close(self) -> None:
        """Close the files."""
        if self._carried is not None:
            self._carried.close()
        if self._file is not None:
            os.close(self._file)
