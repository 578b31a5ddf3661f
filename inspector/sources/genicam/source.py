"""A GenICam camera that reconnects and accounts for every missing frame by the camera's frame ids."""

import time
from collections.abc import Iterator
from typing import Final, Self

from inspector.config.sources import GenicamSettings
from inspector.sources.camera.live import LiveCamera
from inspector.sources.camera.losses import Lost, Shot
from inspector.sources.camera.reader import CameraReader
from inspector.sources.camera.source import Backoff
from inspector.sources.genicam.camera import GenicamConnection
from inspector.sources.genicam.library import aravis
from inspector.sources.genicam.losses import FrameIdLosses, Grab
from inspector.sources.genicam.readings import Readings
from inspector.sources.genicam.row_gather import RowGather
from inspector.values import Capture, Uninspected

_JOIN_S: Final = 1.5
"""Longest wait for the reader's thread at the end, seconds: giving up the camera takes several round trips."""

_OPEN_S: Final = 20.0
"""Longest first opening, seconds: the search takes 1 s, and a camera that another program has just left 5 s."""

_LONGEST_PAUSE_S: Final = 2.0
"""Longest pause between attempts to reconnect, seconds: each attempt searches the network once."""

_ESTIMATE_NS: Final = 1_000_000_000
"""Largest error of a lost frame's capture time, ns."""


class GenicamSource(LiveCamera[Grab]):
    """A GigE Vision or USB3 Vision camera, read through Aravis.

    Every buffer is one frame, unless `frame_height` gathers the rows of several buffers into one. An incomplete
    buffer becomes a fault in its place, and so does each missing frame id.
    """

    def __init__(
        self, settings: GenicamSettings, backoff: Backoff | None = None, counter_range: float | None = None
    ) -> None:
        """`counter_range` is that of the encoder whose counts the frames carry: see `Scale`."""
        self._settings = settings
        pauses = backoff or Backoff(longest_s=_LONGEST_PAUSE_S)
        triggered = settings.trigger == "encoder"
        self._readings = Readings()
        self._gather = None if settings.frame_height is None else RowGather(settings.frame_height, counter_range)
        self._interval_ns = round(1e9 / settings.frames_per_second)
        self._last_ns = 0
        reader = CameraReader(
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
            FrameIdLosses(settings.frames_per_second, triggered=triggered, frame_rows=settings.frame_height),
            frames_per_second=settings.frames_per_second,
            first_pause_s=pauses.first_s,
            longest_pause_s=pauses.longest_s,
        )
        super().__init__(settings.device, reader, open_s=_OPEN_S, join_s=_JOIN_S)

    def __enter__(self) -> Self:
        aravis()  # here rather than in the thread: the error names what to install
        return super().__enter__()

    def readings(self) -> dict[str, float]:
        """Return the newest readings of the camera and its stream, by name; empty before the first."""
        return self._readings.latest

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the frame size."""
        size = self._reader.size
        if size is not None:
            height = self._settings.frame_height
            yield self.name, size if height is None else (height, size[1])

    def _frames(self, shot: Shot) -> Iterator[Capture]:
        captured_ns = self._in_order(shot.captured_ns)
        if self._gather is None:
            yield Capture(shot.pixels, captured_ns=captured_ns, encoder_count=shot.encoder_count)
        else:
            yield from self._gather.take(shot.pixels, captured_ns, shot.encoder_count, time.time_ns())

    def _losses(self, lost: Lost, fault: Uninspected) -> Iterator[Capture]:
        for later in reversed(range(lost.count)):
            captured_ns = self._in_order(lost.captured_ns - later * self._interval_ns)
            if self._gather is None:
                yield Capture(None, fault=fault, captured_ns=captured_ns)
            elif self._reader.size is not None:
                yield from self._gather.lose(self._reader.size[0], fault, captured_ns)

    def _in_order(self, captured_ns: int) -> int:
        """Keep capture times rising: an estimate may be slightly off. Only a clock that was set goes back."""
        if not 0 < self._last_ns - captured_ns < _ESTIMATE_NS:
            self._last_ns = captured_ns
        return self._last_ns
