"""A connection to a camera: V4L2 through OpenCV, network cameras and files through FFmpeg."""

import time
from dataclasses import dataclass
from typing import Final, Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from cv2.typing import MatLike

from inspector.images import GreyWindow
from inspector.sources.decoder import Decoder
from inspector.sources.decoding import Greys, careful_stream, unknown_scale
from inspector.values import Code, Pixels, Uninspected

_NETWORK_PROTOCOLS: Final = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,srtp,crypto"
"""Protocols that a stream may open. A playlist from a camera therefore cannot reach files of this PC."""


_WITHOUT_KEY_FRAME_S: Final = 10.0
"""Longest time without a sound frame after a loss, seconds. The stream is then reopened, which makes the camera
send a key frame; most cameras send one every few seconds."""


class OpenCamera(Protocol):
    """A camera that returns frames until its connection ends."""

    size: tuple[int, int] | None
    """(height, width) as the camera reports it; None when it reports none."""
    ended: str
    """Why the connection ended, valid after `read` has returned None."""
    is_file: bool
    """Whether it is a file: it ends, has no clock, and plays at the camera's rate."""

    def read(self) -> Pixels | Uninspected | None:
        """Return the next frame, uint8 [H, W], or its fault; None when the connection has ended."""
        ...

    def release(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True)
class Connection:
    """What to open: a V4L2 number or path, an address or a file."""

    device: str | int
    timeout_s: float
    """Time-out for opening and for each read of a network camera, seconds; V4L2 has a fixed time-out of 10 s."""
    grey_window: GreyWindow | None = None

    def open(self) -> OpenCamera | str:
        """Return an open camera, or why it cannot be opened."""
        if isinstance(self.device, int) or self.device.startswith("/dev/video"):
            return self._open_v4l2()
        if " ! " in self.device:
            return "GStreamer pipelines are not supported; give the camera's RTSP or HTTP address"
        return _open_stream(self.device, self.timeout_s, self.grey_window)

    def _open_v4l2(self) -> OpenCamera | str:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_V4L2):
            return "this OpenCV is built without V4L2"
        try:
            if isinstance(self.device, int):  # one overload for each type
                camera = cv2.VideoCapture(self.device, cv2.CAP_V4L2)
            else:
                camera = cv2.VideoCapture(self.device, cv2.CAP_V4L2)
        except cv2.error as error:
            return f"V4L2: {error.err}"
        if not camera.isOpened():
            camera.release()
            return "V4L2 finds no camera there, or another program uses it"
        return _Grabber(camera)


class _Grabber:
    """A camera read through OpenCV."""

    def __init__(self, camera: cv2.VideoCapture) -> None:
        self._camera = camera
        height, width = (int(camera.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size = (height, width) if height > 0 and width > 0 else None
        self.is_file = camera.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.ended = "the connection ended"

    def read(self) -> Pixels | Uninspected | None:
        try:
            good, image = self._camera.read()
        except cv2.error:
            return None
        return mono(image) if good else None

    def release(self) -> None:
        self._camera.release()


def _open_stream(device: str, timeout_s: float, grey_window: GreyWindow | None) -> OpenCamera | str:
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


def mono(image: MatLike) -> Pixels | Uninspected:
    """Convert an image to one plane of 8 bits, or return the fault.

    Colour becomes ITU-R BT.601 luma, as in OpenCV.
    """
    if image.dtype != np.uint8:
        return Uninspected(Code.UNREADABLE, f"a frame of {image.dtype} samples; set the camera to 8 bits")
    if image.ndim == 3 and image.shape[2] in {3, 4}:
        code = cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 or image.size == 0:
        return Uninspected(Code.UNREADABLE, f"a frame of shape {image.shape}; set the camera to grey or BGR")
    return np.ascontiguousarray(image, dtype=np.uint8)
