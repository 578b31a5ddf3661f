"""One connection to a camera: V4L2 and GStreamer through OpenCV, network cameras and files through FFmpeg."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from cv2.typing import MatLike

from inspector.sources.decoding import Greys, careful_stream
from inspector.values import Pixels

_NETWORK_PROTOCOLS: Final = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,srtp,crypto"
"""What an address may open: a playlist that a camera sends never reaches this PC's files."""


class OpenCamera(Protocol):
    """A camera that gives frames until its connection ends."""

    size: tuple[int, int] | None
    """(height, width) as the camera states it."""
    is_file: bool
    """It has an end and no clock of its own: it is played at the camera's rate."""

    def read(self) -> Pixels | str | None:
        """The next frame, uint8 [H, W], or why it cannot be used; None when the connection has ended."""
        ...

    def release(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True)
class Connection:
    """What to open: a V4L2 number or path, an address, a file or a GStreamer pipeline."""

    device: str | int
    height: int | None
    width: int | None
    timeout_s: float
    """For opening and for one read, where the backend knows time-outs; V4L2 has its own of 10 s."""

    def open(self) -> OpenCamera | str:
        """An open camera, or why there is none."""
        if isinstance(self.device, int) or self.device.startswith("/dev/video"):
            return self._open_with(cv2.CAP_V4L2)
        if " ! " in self.device:
            return self._open_with(cv2.CAP_GSTREAMER)
        return _open_stream(self.device, self.timeout_s)

    def _open_with(self, backend: int) -> OpenCamera | str:
        name = cv2.videoio_registry.getBackendName(backend)
        if not cv2.videoio_registry.hasBackend(backend):
            return f"this OpenCV is built without {name}"
        timeout_ms = round(self.timeout_s * 1000)
        options: list[int] = []
        if backend == cv2.CAP_GSTREAMER:
            options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        try:
            if isinstance(self.device, int):  # the two spellings are two overloads
                camera = cv2.VideoCapture(self.device, backend, options)
            else:
                camera = cv2.VideoCapture(self.device, backend, options)
        except cv2.error as error:
            return f"{name}: {error.err}"
        if not camera.isOpened():
            camera.release()
            return f"{name} finds no camera there, or somebody else uses it"
        if self.height is not None and self.width is not None:
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, self.height)
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, self.width)
        return _Grabber(camera)


class _Grabber:
    """A camera on OpenCV."""

    def __init__(self, camera: cv2.VideoCapture) -> None:
        self._camera = camera
        height, width = (int(camera.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size = (height, width) if height > 0 and width > 0 else None
        self.is_file = camera.get(cv2.CAP_PROP_FRAME_COUNT) > 0

    def read(self) -> Pixels | str | None:
        try:
            good, image = self._camera.read()
        except cv2.error:
            return None
        return mono(image) if good else None

    def release(self) -> None:
        self._camera.release()


def _open_stream(device: str, timeout_s: float) -> OpenCamera | str:
    # RTSP over UDP loses packets on a busy network, and with each of them a frame.
    options = {"rtsp_flags": "prefer_tcp"}
    if "://" in device:
        options["protocol_whitelist"] = _NETWORK_PROTOCOLS
    try:
        container = av.open(
            device, mode="r", metadata_errors="replace", timeout=timeout_s, container_options=options
        )
    except (av.FFmpegError, OSError) as error:
        return f"FFmpeg: {error.strerror}"
    stream = careful_stream(container)
    if stream is None:
        container.close()
        return "FFmpeg finds no video there"
    return _Stream(container, stream)


class _Stream:
    """A network camera or a file on FFmpeg, without OpenCV between.

    OpenCV cuts frames of a new size to the size of the first, and hands over what was damaged on the way as
    repaired: both would be inspected as steel.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._packets = container.demux(stream)
        self._decoded: deque[VideoFrame] = deque()
        self._greys = Greys()
        self._broken = False
        """Frames build on a damaged one, up to the next key frame."""
        self.size = (stream.height, stream.width) if stream.height and stream.width else None
        self.is_file = container.duration is not None

    def read(self) -> Pixels | str | None:
        while not self._decoded:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError):
                return None
            if packet is None:
                return None
            try:
                self._decoded += self._stream.decode(packet)
            except av.FFmpegError as error:
                self._broken = True
                return f"damaged on the way: {error.strerror}"
        return self._judged(self._decoded.popleft())

    def _judged(self, frame: VideoFrame) -> Pixels | str:
        if frame.is_corrupt:
            self._broken = True
            return "damaged on the way: the decoder marks it as corrupt"
        if self._broken and not frame.key_frame:
            return "builds on a frame that was damaged on the way"
        self._broken = False
        return self._greys.pixels(frame)

    def release(self) -> None:
        self._container.close()


def mono(image: MatLike) -> Pixels | str:
    """One plane of 8 bits, or why there is none; colour becomes ITU-R BT.601 luma, as OpenCV defines it."""
    if image.dtype != np.uint8:
        return f"it has {image.dtype} samples; set the camera to 8 bits"
    if image.ndim == 3 and image.shape[2] in {3, 4}:
        code = cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 or image.size == 0:
        return f"it has the shape {image.shape}; set the camera to grey or BGR"
    return np.ascontiguousarray(image, dtype=np.uint8)
