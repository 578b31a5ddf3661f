"""A video file as a source: its frames in display order, with a fault for every lost or damaged frame."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from av.container import InputContainer
from av.video.stream import VideoStream

from inspector.errors import SourceError
from inspector.images import GreyWindow
from inspector.sources.base import WhenBehind
from inspector.sources.video.container import Greys, open_video, unknown_scale
from inspector.sources.video.decoder import Decoder
from inspector.values import Capture, Code, Uninspected

VIDEO_ENDINGS: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv"}
)

MAX_STATED_FRAMES: Final = 3_000_000
"""Most frames that a header may promise: a day at 30 frames/s. A header that promises more is damaged and
ignored."""


class VideoSource:
    """A video file, decoded in order.

    One packet is one captured frame. A frame that cannot be decoded, or that builds on such a frame, becomes a
    fault in its place. Frames that the file promises and does not hold become faults at the end. Most lossy codecs
    have no checksum, so damage that still decodes goes unnoticed; a recording has a checksum for every frame.
    """

    when_behind: ClassVar[WhenBehind] = WhenBehind.WAIT

    def __init__(self, path: Path, *, grey_window: GreyWindow | None = None) -> None:
        self.path = path
        self._grey_window = grey_window
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None

    def __enter__(self) -> Self:
        container, stream = open_video(self.path)
        problem = unknown_scale(stream, self._grey_window)
        if problem is not None:
            container.close()
            raise SourceError(f"{self.path}: {problem}")
        self._container, self._stream = container, stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is not None:
            self._container.close()
        self._container = self._stream = None

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._container is None or self._stream is None:
            raise RuntimeError("a source is used inside its with statement")
        return self._container, self._stream

    def total(self) -> int | None:
        """Return the number of frames that the header promises; None when it promises none, as in Matroska."""
        _, stream = self._opened()
        return stream.frames if 0 < stream.frames <= MAX_STATED_FRAMES else None

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the common size of all frames, from the header."""
        _, stream = self._opened()
        yield self.path.name, (stream.height, stream.width)

    def captures(self) -> Iterator[Capture | None]:
        """Yield every frame in display order; see the class for faults."""
        container, stream = self._opened()
        greys = Greys(self._grey_window)
        decoder = Decoder(container, stream)
        count = 0
        for found in decoder.frames():
            count += 1
            if isinstance(found, Uninspected):
                yield Capture(None, fault=found)
            else:
                yield Capture(greys.pixels(found))
        for fault in self._shortfall(count, decoder):
            yield Capture(None, fault=Uninspected(Code.UNREADABLE, fault))

    def _shortfall(self, count: int, decoder: Decoder) -> Iterator[str]:
        """Yield faults for frames that the file promises and does not hold."""
        stated = self.total()
        if stated is not None:
            missing = stated - decoder.packets.count - decoder.lost_at_end
            for _ in range(missing):
                yield f"missing: the video holds {decoder.packets.count} of {stated} frames"
            if missing > 0:
                return
        container, _ = self._opened()
        if decoder.packets.broken_off is not None:
            yield f"video breaks off after {count} frames: {decoder.packets.broken_off}"
        elif stated is None and decoder.packets.cut_off_of is not None:
            yield f"video breaks off after {count} frames (about {decoder.packets.cut_off_of} expected)"
        elif stated is None and "matroska" in container.format.name and container.duration is None:
            yield f"video was never closed by its writer: frames may be missing after {count} frames"
