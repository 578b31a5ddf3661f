"""A recording as a source: it replays captures with their times and strip positions."""

import math
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Final, Self

import av
import msgspec
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from inspector.errors import SourceError
from inspector.sources.base import WhenBehind
from inspector.sources.recording.format import (
    RECORDING_NAME,
    SCHEMA_VERSION,
    SIDECAR_NAME,
    VIDEO_NAME,
    Index,
    Line,
)
from inspector.sources.recording.writer import RecordingWriter
from inspector.sources.video.container import Greys, open_video
from inspector.values import Capture, Code, Pixels, Uninspected

__all__ = ["RECORDING_NAME", "RecordingSource", "RecordingWriter"]

MAX_FRAMES: Final = 100_000_000
"""Most frames that an index may promise: a week at 156 frames/s. A larger number would produce a fault for each
frame."""

_LARGEST_INDEX_BYTES: Final = 65_536

_LONGEST_LINE_BYTES: Final = 65_536
"""Longest sidecar line that is read, bytes. A line has about 150 bytes; a torn file may have no line end at
all."""


class RecordingSource:
    """A recording in capture order; a lost or damaged frame becomes a fault in its place."""

    when_behind: ClassVar[WhenBehind] = WhenBehind.WAIT

    def __init__(self, path: Path, *, mm_per_px: float | None = None, rescale: bool = False) -> None:
        """`mm_per_px` is the scale that positions must have; None keeps the recorded positions."""
        self.path = path
        self._mm_per_px = mm_per_px
        self._rescale = rescale
        self._scale = 1.0
        self._sidecar: BinaryIO | None = None
        self._video: _Video | None = None
        self._lines = 0

    @cached_property
    def index(self) -> Index:
        """The content of recording.json; raises SourceError."""
        path = self.path / RECORDING_NAME
        try:
            with path.open("rb") as file:
                index = msgspec.json.decode(file.read(_LARGEST_INDEX_BYTES), type=Index)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"{path}: not the index of a recording: {error}") from error
        if index.schema_version != SCHEMA_VERSION:
            raise SourceError(
                f"{path}: schema version {index.schema_version}, this program reads {SCHEMA_VERSION}; "
                f"replay it with the version that made it ({index.made_by})"
            )
        if index.frames is not None and not 0 <= index.frames <= MAX_FRAMES:
            raise SourceError(f"{path}: {index.frames} is not a number of frames; it is damaged, copy it again")
        return index

    @property
    def camera(self) -> str:
        """Name of the recorded camera."""
        return self.index.camera

    def __enter__(self) -> Self:
        index = self.index
        self._scale = self._position_scale()
        if index.height is not None and not (self.path / VIDEO_NAME).exists():
            raise SourceError(f"{self.path}: {VIDEO_NAME} is missing; copy the whole folder of the recording")
        try:
            self._sidecar = (self.path / SIDECAR_NAME).open("rb")
        except OSError as error:
            raise SourceError(f"{self.path / SIDECAR_NAME}: cannot be read: {error.strerror}") from error
        self._lines = sum(1 for _ in _lines(self._sidecar))
        self._video = _Video(self.path / VIDEO_NAME)
        return self

    def _position_scale(self) -> float:
        """Return the factor for recorded positions.

        Raises SourceError when the scales differ without `rescale`.
        """
        recorded = self.index.mm_per_px
        if self._mm_per_px is None or recorded is None or math.isclose(recorded, self._mm_per_px, rel_tol=1e-6):
            return 1.0
        if not self._rescale:
            raise SourceError(
                f"{self.path}: recorded at {recorded:g} mm per pixel, the recipe has {self._mm_per_px:g}: "
                "positions would be wrong; use the recording's recipe, or set rescale = true for a camera of "
                "type recording"
            )
        return self._mm_per_px / recorded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sidecar is not None:
            self._sidecar.close()
        if self._video is not None:
            self._video.close()
        self._sidecar = self._video = None

    def _opened(self) -> "tuple[BinaryIO, _Video]":
        if self._sidecar is None or self._video is None:
            raise RuntimeError("a source is used inside its with statement")
        return self._sidecar, self._video

    def total(self) -> int | None:
        """Return the number of captured frames; None when the recorder was killed before the end."""
        self._opened()
        return None if self.index.frames is None else max(self.index.frames, self._lines)

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the common size of all frames."""
        self._opened()
        if self.index.height is not None and self.index.width is not None:
            yield VIDEO_NAME, (self.index.height, self.index.width)

    def captures(self) -> Iterator[Capture | None]:
        """Yield every captured frame with its time and position; see the class for faults.

        A frame that the sidecar lists and the video lacks is a fault. After a torn line the positions of frames
        are unknown, so each remaining captured frame becomes a fault.
        """
        sidecar, video = self._opened()
        count = 0
        sidecar.seek(0)
        torn = False
        for text in _lines(sidecar):
            line = _parse(text, count)
            if line is None:
                torn = True
                break
            yield _capture(line, video, self._scale)
            count += 1
        why = f"the sidecar {'is torn' if torn else 'ends'} after {count} frames"
        total = self.total()
        if total is None:
            # The recorder was killed: the video may be one frame ahead of the sidecar.
            total = max(self._lines, video.last_id() + 1)
        for frame_id in range(count, total):
            fault = Uninspected(Code.UNREADABLE, f"frame {frame_id} has no time and position: {why}")
            yield Capture(None, fault=fault)


def _lines(sidecar: BinaryIO) -> Iterator[bytes]:
    """Yield lines with their line end; the rest of a torn file in pieces of bounded length."""
    while line := sidecar.readline(_LONGEST_LINE_BYTES):
        yield line


def _parse(text: bytes, frame_id: int) -> Line | None:
    """Return the line of the frame that is due; None when the sidecar is torn."""
    if not text.endswith(b"\n"):
        return None
    try:
        line = msgspec.json.decode(text, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_whole = line.frame_id == frame_id and (line.fault is None) == (line.crc32 is not None)
    return line if is_whole else None


def _capture(line: Line, video: "_Video", scale: float) -> Capture:
    pixels, fault = None, None
    if line.fault is not None:
        fault = Uninspected(line.code, line.fault)
    else:
        found = video.frame(line.frame_id)
        if isinstance(found, str):
            fault = Uninspected(Code.UNREADABLE, f"frame {line.frame_id} {found}")
        elif zlib.crc32(found.data) != line.crc32:
            damaged = f"frame {line.frame_id} is damaged in the recording: its checksum differs"
            fault = Uninspected(Code.UNREADABLE, damaged)
        else:
            pixels = found
    position_mm = None if line.position_mm is None else line.position_mm * scale
    return Capture(pixels, fault, line.captured_ns, position_mm, line.coil)


class _Video:
    """The frames of a recording by id, read forward only."""

    def __init__(self, path: Path) -> None:
        self._greys = Greys()
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._next: Packet[VideoStream] | None = None
        self._last_id = -1
        self._lost = "is missing from the recording"
        if path.exists():
            try:
                self._container, stream = open_video(path)
            except SourceError as error:
                self._lost = f"cannot be read: {error}"
            else:
                stream.codec_context.thread_count = 0
                self._packets = self._container.demux(stream)
                self._advance()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()

    def _advance(self) -> None:
        """Read the next packet; the demuxer skips a damaged part of the file, or ends there."""
        self._next = None
        try:
            packet = next(self._packets, None)
        except av.FFmpegError as error:
            self._lost = f"is missing from the recording: {error.strerror}"
            return
        if packet is not None and packet.size and packet.pts is not None:
            self._next = packet
            self._last_id = max(self._last_id, packet.pts)

    def frame(self, frame_id: int) -> Pixels | str:
        """Return uint8 [H, W], or why the frame is unavailable; callers must ask for ids in ascending order."""
        while self._next is not None and self._next.pts is not None and self._next.pts < frame_id:
            self._advance()
        packet = self._next
        if packet is None or packet.pts != frame_id:
            return self._lost
        self._advance()
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            return f"cannot be decoded: {error.strerror}"
        return self._greys.pixels(frames[0]) if frames else self._lost

    def last_id(self) -> int:
        """Return the highest id in the file, −1 when it is empty; reads to the end of the file."""
        while self._next is not None:
            self._advance()
        return self._last_id
