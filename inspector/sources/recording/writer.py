"""Writes a recording frame by frame, so that it stays readable after the recorder is killed."""

import errno
import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import av
import msgspec
from av.container import OutputContainer
from av.video.stream import VideoStream

from inspector import __version__
from inspector.errors import InputError, WorkError
from inspector.files import write_whole
from inspector.sources.recording.format import (
    RECORDING_NAME,
    SCHEMA_VERSION,
    SIDECAR_NAME,
    TICK,
    VIDEO_NAME,
    Index,
    Line,
)
from inspector.values import Capture, Code, Pixels, Uninspected

_MUXER_OPTIONS: Final = {"cluster_size_limit": "1", "flush_packets": "1"}
"""Makes every frame a Matroska cluster (about 25 bytes) that is passed to the kernel at once. Killing the recorder
then loses the last frame; by default it would lose up to 5 MB."""

_CODEC_OPTIONS: Final = {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}
"""Four slices let up to four cores share one frame; no frame depends on another."""


class RecordingWriter:
    """Writes a recording; `with RecordingWriter(path, camera) as writer: writer.append(capture)`.

    Raises InputError for a folder that is not empty, WorkError when writing fails; what was written stays
    readable.
    """

    def __init__(self, path: Path, camera: str, *, mm_per_px: float | None = None) -> None:
        self.path = path
        self._index = Index(
            schema_version=SCHEMA_VERSION,
            camera=camera,
            made_by=f"strip-inspector {__version__}",
            mm_per_px=mm_per_px,
        )
        self._count = 0
        self._failed = False
        self._digest = hashlib.sha256()
        self._sidecar: BinaryIO | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise InputError(f"{self.path}: not empty; record into a new folder")
            self._write_index()
            self._sidecar = (self.path / SIDECAR_NAME).open("wb", buffering=0)
        except OSError as error:
            raise InputError(f"{self.path}: cannot record into it: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._failed:
                with suppress(av.FFmpegError, OSError):  # the disk is full; append has already raised
                    self._finish_video()
            else:
                self._finish()
        except (av.FFmpegError, OSError) as failure:
            raise self._failure(failure) from failure
        finally:
            if self._sidecar is not None:
                self._sidecar.close()

    def append(self, capture: Capture) -> None:
        """Write one captured frame or fault; a frame whose size differs from the first becomes a fault."""
        if self._sidecar is None or self._failed:
            raise RuntimeError("a recording is written inside its with statement, and not after a failure")
        pixels, fault = capture.pixels, capture.fault
        try:
            if pixels is not None:
                stream = self._stream or self._start_video(pixels)
                if pixels.shape != (stream.height, stream.width):
                    height, width = pixels.shape
                    fault = Uninspected(
                        Code.WRONG_SIZE,
                        f"frame is {height}×{width}, the recording holds {stream.height}×{stream.width}",
                    )
                    pixels = None
                else:
                    self._mux(stream, pixels)
            line = Line(
                self._count,
                capture.captured_ns,
                capture.position_mm,
                capture.coil,
                None if fault is None else fault.text,
                None if pixels is None else zlib.crc32(pixels.data),
                Code.NO_FRAME if fault is None else fault.code,
            )
            self._write_line(msgspec.json.encode(line) + b"\n")
        except (av.FFmpegError, OSError) as error:
            self._failed = True
            raise self._failure(error) from error
        self._count += 1

    def _start_video(self, pixels: Pixels) -> VideoStream:
        height, width = pixels.shape
        self._index = msgspec.structs.replace(self._index, height=height, width=width)
        self._write_index()
        self._container = av.open(str(self.path / VIDEO_NAME), "w", container_options=_MUXER_OPTIONS)
        stream = self._container.add_stream("ffv1", rate=1 / TICK, options=_CODEC_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "gray"
        stream.codec_context.time_base = TICK
        stream.codec_context.thread_type = av.codec.context.ThreadType.SLICE
        stream.codec_context.thread_count = 0
        self._stream = stream
        return stream

    def _mux(self, stream: VideoStream, pixels: Pixels) -> None:
        frame = av.VideoFrame.from_ndarray(pixels, format="gray")
        frame.pts, frame.time_base = self._count, TICK
        assert self._container is not None  # noqa: S101 (opened together with the stream)
        self._container.mux(stream.encode(frame))

    def _write_line(self, line: bytes) -> None:
        assert self._sidecar is not None  # noqa: S101 (append checks it)
        if self._sidecar.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._digest.update(line)

    def _finish_video(self) -> None:
        if self._container is not None:
            container, stream = self._container, self._stream
            self._container = self._stream = None
            try:
                if stream is not None:
                    container.mux(stream.encode(None))
            finally:
                container.close()

    def _finish(self) -> None:
        self._finish_video()
        self._index = msgspec.structs.replace(
            self._index, frames=self._count, sidecar_sha256=self._digest.hexdigest()
        )
        self._write_index()

    def _write_index(self) -> None:
        """Replace recording.json: a reader sees the old file or the new one, also after a power cut."""
        text = msgspec.json.format(msgspec.json.encode(self._index), indent=2) + b"\n"
        write_whole(self.path / RECORDING_NAME, text)

    def _failure(self, error: Exception) -> WorkError:
        why = getattr(error, "strerror", None) or error
        return WorkError(f"{self.path}: recording stopped after {self._count} frames: {why}")
