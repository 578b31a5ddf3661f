"""A camera (V4L2, RTSP or HTTP) that reconnects and accounts for every missing frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self

from inspector.config.line import V4l2Settings
from inspector.errors import SourceError, WorkError
from inspector.images import GreyWindow
from inspector.passwords import masked
from inspector.sources.base import WhenBehind
from inspector.sources.camera_account import ClockAccount, Lost, Shot
from inspector.sources.camera_connection import DeviceConnection
from inspector.sources.camera_reader import CameraReader
from inspector.values import Capture, Code, Uninspected

_POLL_S: Final = 0.1
"""Longest wait for a frame before `captures` yields None, seconds; the Source contract allows 0.2 s."""

_JOIN_S: Final = 1.0
"""Longest wait for the reader thread at the end, seconds. A thread that a driver blocks is abandoned; it is a
daemon."""

_OPEN_MARGIN_S: Final = 1.0
"""Margin beyond the connection's time-out before the first open counts as stuck, seconds."""


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts to reconnect: `first_s` seconds, doubled after each attempt up to `longest_s`."""

    first_s: float = 0.2
    longest_s: float = 10.0


class CameraSource:
    """A free-running camera.

    `device` is a V4L2 number or path, an RTSP or HTTP address, or a video file, which plays at the camera's rate.
    `frames_per_second` converts the length of a gap into missing frames; each becomes a fault while the gap lasts.
    A thread reads the camera, so that a stuck driver cannot prevent the line from stopping.
    """

    when_behind: ClassVar[WhenBehind] = WhenBehind.SHED_OLDEST

    def __init__(
        self,
        device: str | int,
        *,
        frames_per_second: float,
        backoff: Backoff | None = None,
        timeout_s: float = 5.0,
        triggered: bool = False,
        grey_window: GreyWindow | None = None,
        v4l2: V4l2Settings | None = None,
    ) -> None:
        self.name = masked(str(device))
        pauses = backoff or Backoff()
        self._timeout_s = timeout_s
        self._reader = CameraReader(
            DeviceConnection(device, timeout_s, grey_window, v4l2),
            ClockAccount(frames_per_second, triggered=triggered),
            frames_per_second=frames_per_second,
            first_pause_s=pauses.first_s,
            longest_pause_s=pauses.longest_s,
        )

    def __enter__(self) -> Self:
        self._reader.start()
        problem = self._reader.problem(self._timeout_s + _OPEN_MARGIN_S)
        if problem is not None:
            self._reader.stop(_JOIN_S)
            raise SourceError(f"camera {self.name}: cannot be opened: {problem}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.stop(_JOIN_S)

    @property
    def measured_rate(self) -> float | None:
        """Measured frame rate of the last seconds, frames per second; None until it is known."""
        return self._reader.measured_rate

    def total(self) -> int | None:
        """Return None: a camera has no end."""
        return None

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the frame size that the camera reports, if it reports one."""
        if self._reader.size is not None:
            yield self.name, self._reader.size

    def captures(self) -> Iterator[Capture | None]:
        """Yield frames as they arrive and faults while none arrive; never ends by itself."""
        while True:
            taken = self._reader.take(_POLL_S)
            if isinstance(taken, Shot):
                yield Capture(taken.pixels, captured_ns=taken.captured_ns)
            elif isinstance(taken, Lost):
                colon = "" if taken.why.code is Code.NO_FRAME else ":"
                fault = Uninspected(taken.why.code, f"camera {self.name}{colon} {taken.why.text}")
                for _ in range(taken.count):
                    yield Capture(None, fault=fault, captured_ns=taken.captured_ns)
            elif self._reader.alive:
                yield None
            else:
                raise WorkError(f"camera {self.name}: the thread that reads it is gone; see its error above")
