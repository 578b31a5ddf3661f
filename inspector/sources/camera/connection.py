"""A connection to a camera: V4L2 as the config sets it up, network cameras and files through FFmpeg."""

import time
from dataclasses import dataclass
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from inspector.config.sources import V4l2Settings, is_v4l2
from inspector.images import GreyWindow
from inspector.sources.camera.reader import OpenCamera
from inspector.sources.camera.v4l2 import open_v4l2
from inspector.sources.video.container import Greys, careful_stream, unknown_scale
from inspector.sources.video.decoder import Decoder
from inspector.values import Pixels, Uninspected

_NETWORK_PROTOCOLS: Final = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,srtp,crypto"
"""Protocols that a stream may open. A playlist from a camera therefore cannot reach files of this PC."""


_WITHOUT_KEY_FRAME_S: Final = 10.0
"""Longest time without a sound frame after a loss, seconds. The stream is then reopened, which makes the camera
send a key frame; most cameras send one every few seconds."""


Eye = OpenCamera[Pixels | Uninspected]
"""An open V4L2 or network camera."""


@dataclass(frozen=True)
class DeviceConnection:
    """What to open: a V4L2 number or path, an address or a file."""

    device: str | int
    timeout_s: float
    """Time-out for opening and for each read of a network camera, seconds; V4L2 has a fixed time-out of 10 s."""
    grey_window: GreyWindow | None = None
    v4l2: V4l2Settings | None = None

    def open(self) -> Eye | str:
        """Return an open camera, or why it cannot be opened."""
        if isinstance(self.device, int) or is_v4l2(self.device):
            return open_v4l2(self.device, self.v4l2 or V4l2Settings(), self.grey_window)
        return _open_stream(self.device, self.timeout_s, self.grey_window)


def _open_stream(device: str, timeout_s: float, grey_window: GreyWindow | None) -> Eye | str:
    # RTSP over UDP loses packets on a busy network; each lost packet costs a frame.
    options = {"rtsp_flags": "prefer_tcp"}
    if "://" in device:
        options["protocol_whitelist"] = _NETWORK_PROTOCOLS
    try:
        container = av.open(
            device, mode="r", metadata_errors="replace", timeout=timeout_s, container_options=options
        )
    except av.error.ExitError:
        return f"no answer within {timeout_s:g} s"
    except (av.FFmpegError, OSError) as error:
        return f"FFmpeg: {error.strerror}"
    stream = careful_stream(container)
    if stream is None:
        container.close()
        return "FFmpeg finds no video there"
    problem = unknown_scale(stream, grey_window)
    if problem is not None:
        container.close()
        return problem
    return _Stream(container, stream, timeout_s, Greys(grey_window))


class _Stream:
    """A network camera or a file read through FFmpeg directly.

    OpenCV crops frames of a new size to the first size and returns damaged frames as repaired; both would be
    inspected as steel.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, timeout_s: float, greys: Greys) -> None:
        self._container = container
        self._decoder = Decoder(container, stream, live=True)
        self._found = self._decoder.frames()
        self._greys = greys
        self._timeout_s = timeout_s
        self._sound_s = time.monotonic()
        self.ended = "the connection ended"
        self.size = (stream.height, stream.width) if stream.height and stream.width else None
        self.is_file = container.duration is not None

    def read(self) -> Pixels | Uninspected | None:
        found = next(self._found, None)
        if found is None:
            if self._decoder.packets.timed_out:
                self.ended = f"no frame within {self._timeout_s:g} s"
            return None
        if isinstance(found, Uninspected):
            if time.monotonic() - self._sound_s > _WITHOUT_KEY_FRAME_S:
                self.ended = f"no key frame within {_WITHOUT_KEY_FRAME_S:g} s after a loss"
                return None
            return found
        self._sound_s = time.monotonic()
        return self._greys.pixels(found)

    def release(self) -> None:
        self._container.close()
