"""One connection to a camera: V4L2 through OpenCV, network cameras and files through FFmpeg."""

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
"""What an address may open: a playlist that a camera sends never reaches this PC's files."""


_WITHOUT_KEY_FRAME_S: Final = 10.0
"""A stream that lost data and sends no key frame for so long is opened again, which makes a camera send one. Most
send one every few seconds."""


class OpenCamera(Protocol):
    """A camera that gives frames until its connection ends."""

    size: tuple[int, int] | None
    """(height, width) as the camera states it."""
    ended: str
    """Why the connection has ended, once `read` has returned None."""
    is_file: bool
    """It has an end and no clock of its own: it is played at the camera's rate."""

    def read(self) -> Pixels | Uninspected | None:
        """The next frame, uint8 [H, W], or why there is none; None when the connection has ended."""
        ...

    def release(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True)
class Connection:
    """What to open: a V4L2 number or path, an address or a file."""

    device: str | int
    timeout_s: float
    """For opening and for one read of a network camera; V4L2 has its own of 10 s."""
    grey_window: GreyWindow | None = None

    def open(self) -> OpenCamera | str:
        """An open camera, or why there is none."""
        if isinstance(self.device, int) or self.device.startswith("/dev/video"):
            return self._open_v4l2()
        if " ! " in self.device:
            return "GStreamer pipelines are not supported; give the camera's RTSP or HTTP address"
        return _open_stream(self.device, self.timeout_s, self.grey_window)

    def _open_v4l2(self) -> OpenCamera | str:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_V4L2):
            return "this OpenCV is built without V4L2"
        try:
            if isinstance(self.device, int):  # the two spellings are two overloads
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
    """A camera on OpenCV."""

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
    # RTSP over UDP loses packets on a busy network, and with each of them a frame.
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
    """A network camera or a file on FFmpeg, without OpenCV between.

    OpenCV cuts frames of a new size to the size of the first, and hands over what was damaged on the way as
    repaired: both would be inspected as steel.
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
    """One plane of 8 bits, or why there is none; colour becomes ITU-R BT.601 luma, as OpenCV defines it."""
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
