"""A camera (V4L2, RTSP or HTTP) that reconnects and accounts for every missing frame."""

from dataclasses import dataclass
from typing import Final

from inspector.config.sources import V4l2Settings
from inspector.images import GreyWindow
from inspector.passwords import masked
from inspector.sources.camera.connection import DeviceConnection
from inspector.sources.camera.live import LiveCamera
from inspector.sources.camera.losses import ClockLosses
from inspector.sources.camera.reader import CameraReader
from inspector.values import Pixels, Uninspected

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


class CameraSource(LiveCamera[Pixels | Uninspected]):
    """A free-running camera.

    `device` is a V4L2 number or path, an RTSP or HTTP address, or a video file, which plays at the camera's rate.
    `frames_per_second` converts the length of a gap into missing frames; each becomes a fault while the gap lasts.
    """

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
        pauses = backoff or Backoff()
        reader = CameraReader(
            DeviceConnection(device, timeout_s, grey_window, v4l2),
            ClockLosses(frames_per_second, triggered=triggered),
            frames_per_second=frames_per_second,
            first_pause_s=pauses.first_s,
            longest_pause_s=pauses.longest_s,
        )
        super().__init__(masked(str(device)), reader, open_s=timeout_s + _OPEN_MARGIN_S, join_s=_JOIN_S)

    def _refusal(self, problem: str) -> str:
        return f"camera {self.name}: cannot be opened: {problem}"
