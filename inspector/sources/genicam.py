"""A GenICam camera as a source: it reconnects, and accounts for every missing frame by the camera's frame ids."""

from collections.abc import Iterator
from types import TracebackType
from typing import ClassVar, Final, Self

from inspector.config.line import GenicamSettings
from inspector.errors import SourceError, WorkError
from inspector.sources.base import WhenBehind
from inspector.sources.camera import Backoff
from inspector.sources.camera_account import Lost, Shot
from inspector.sources.camera_reader import CameraReader
from inspector.sources.genicam_account import FrameIdAccount, Grab
from inspector.sources.genicam_camera import GenicamConnection
from inspector.sources.genicam_library import aravis
from inspector.sources.genicam_readings import Readings
from inspector.sources.row_gather import RowGather
from inspector.values import Capture, Code, Uninspected

_POLL_S: Final = 0.1
"""Longest wait for a frame before `captures` yields None, seconds; the Source contract allows 0.2 s."""

_JOIN_S: Final = 1.5
"""Longest wait for the reader's thread at the end, seconds: it gives the camera back, which takes some answers."""

_OPEN_S: Final = 20.0
"""Longest first opening, seconds: the search takes 1 s, a camera that another program has just left 5 s."""

_LONGEST_PAUSE_S: Final = 2.0
"""Longest pause between attempts to reconnect, seconds: each one asks the network once."""

_ESTIMATE_NS: Final = 1_000_000_000
"""Largest error of a lost frame's capture time, ns."""


class GenicamSource:
    """A GigE Vision or USB3 Vision camera, read through Aravis.

    Every buffer is one frame, or `frame_height` gathers the rows of several buffers to one. An incomplete buffer
    is a fault in its place, and so is each frame id that is missing.
    """

    when_behind: ClassVar[WhenBehind] = WhenBehind.SHED_OLDEST

    def __init__(self, settings: GenicamSettings, backoff: Backoff | None = None) -> None:
        self.name = settings.device
        self._settings = settings
        pauses = backoff or Backoff(longest_s=_LONGEST_PAUSE_S)
        triggered = settings.trigger == "encoder"
        self._readings = Readings()
        self._gather = None if settings.frame_height is None else RowGather(settings.frame_height)
        self._interval_ns = round(1e9 / settings.frames_per_second)
        self._last_ns = 0
        self._reader: CameraReader[Grab] = CameraReader(
            GenicamConnection(
                settings.device,
                settings.features,
                frames_per_second=settings.frames_per_second,
                frame_rows=settings.frame_height,
                triggered=triggered,
                grey_window=settings.grey_window,
                encoder_chunk=settings.encoder_chunk,
                readings=self._readings,
            ),
            FrameIdAccount(settings.frames_per_second, triggered=triggered, frame_rows=settings.frame_height),
            frames_per_second=settings.frames_per_second,
            first_pause_s=pauses.first_s,
            longest_pause_s=pauses.longest_s,
        )

    def __enter__(self) -> Self:
        aravis()  # here rather than in the thread: the error names what to install
        self._reader.start()
        problem = self._reader.problem(_OPEN_S)
        if problem is not None:
            self._reader.stop(_JOIN_S)
            raise SourceError(f"camera {self.name}: {problem}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.stop(_JOIN_S)

    @property
    def measured_rate(self) -> float | None:
        """Measured rate of buffers, per second; None until it is known."""
        return self._reader.measured_rate

    def readings(self) -> dict[str, float]:
        """The newest readings of the camera and its stream, by name; empty before the first."""
        return self._readings.latest

    def total(self) -> int | None:
        """Return None: a camera has no end."""
        return None

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the frame size."""
        size = self._reader.size
        if size is not None:
            height = self._settings.frame_height
            yield self.name, size if height is None else (height, size[1])

    def captures(self) -> Iterator[Capture | None]:
        """Yield frames as they arrive and faults for those that do not; never ends by itself."""
        while True:
            taken = self._reader.take(_POLL_S)
            if isinstance(taken, Shot):
                yield from self._frames(taken)
            elif isinstance(taken, Lost):
                yield from self._losses(taken)
            elif self._reader.alive:
                yield None
            else:
                raise WorkError(f"camera {self.name}: the thread that reads it is gone; see its error above")

    def _frames(self, shot: Shot) -> Iterator[Capture]:
        captured_ns = self._in_order(shot.captured_ns)
        if self._gather is None:
            yield Capture(shot.pixels, captured_ns=captured_ns, encoder_count=shot.encoder_count)
        else:
            yield from self._gather.take(shot.pixels, captured_ns, shot.encoder_count)

    def _losses(self, lost: Lost) -> Iterator[Capture]:
        colon = "" if lost.why.code is Code.NO_FRAME else ":"
        fault = Uninspected(lost.why.code, f"camera {self.name}{colon} {lost.why.text}")
        for later in reversed(range(lost.count)):
            captured_ns = self._in_order(lost.captured_ns - later * self._interval_ns)
            if self._gather is None:
                yield Capture(None, fault=fault, captured_ns=captured_ns)
            elif self._reader.size is not None:
                yield from self._gather.lose(self._reader.size[0], fault, captured_ns)

    def _in_order(self, captured_ns: int) -> int:
        """Capture times do not go back by the little that an estimate may be off; a clock that was set may."""
        if not 0 < self._last_ns - captured_ns < _ESTIMATE_NS:
            self._last_ns = captured_ns
        return self._last_ns
