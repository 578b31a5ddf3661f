"""V4L2 cameras through OpenCV, with the size, pixel format and exposure that the config states."""

from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike

from inspector.config.sources import V4l2Settings
from inspector.images import GreyWindow, through_window
from inspector.sources.camera.reader import OpenCamera
from inspector.values import Code, Pixels, Uninspected

_UNCONVERTED: Final = frozenset({"GREY", "Y10 ", "Y12 ", "Y16 "})
"""Grey formats that OpenCV must hand on as they are: it would cut deep grey down to its upper 8 bits."""

_MANUAL_EXPOSURE: Final = 1
"""V4L2_EXPOSURE_MANUAL."""

_EXPOSURE_STEP_US: Final = 100
"""Unit of V4L2_CID_EXPOSURE_ABSOLUTE."""


def open_v4l2(
    device: str | int, settings: V4l2Settings, grey_window: GreyWindow | None
) -> OpenCamera[Pixels | Uninspected] | str:
    """Return an open camera that is set up as the settings say, or why it cannot be."""
    if not cv2.videoio_registry.hasBackend(cv2.CAP_V4L2):
        return "this OpenCV is built without V4L2"
    try:
        if isinstance(device, int):  # one overload for each type
            camera = cv2.VideoCapture(device, cv2.CAP_V4L2)
        else:
            camera = cv2.VideoCapture(device, cv2.CAP_V4L2)
    except cv2.error as error:
        return f"V4L2: {error.err}"
    if not camera.isOpened():
        camera.release()
        return "V4L2 finds no camera there, or another program uses it"
    problem = set_up(camera, settings)
    if problem is not None:
        camera.release()
        return problem
    return _Grabber(camera, grey_window)


def set_up(camera: cv2.VideoCapture, settings: V4l2Settings) -> str | None:
    """Apply the settings and read them back; returns which one the camera does not take."""
    # The pixel format comes first, because it limits the sizes.
    if settings.pixel_format is not None:
        wanted = settings.pixel_format.ljust(4)
        camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted))
        if wanted in _UNCONVERTED:
            camera.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        found = _fourcc(camera)
        if found != wanted:
            return f"pixel_format: the camera does not take {wanted.strip()}, it stays at {found.strip()}"
    if settings.size is not None:
        width, height = settings.size
        camera.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        camera.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        is_now = [round(camera.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        if is_now != [width, height]:
            return f"size: the camera does not take {width}×{height}, it gives {is_now[0]}×{is_now[1]}"
    if settings.exposure_us is not None:
        steps = settings.exposure_us // _EXPOSURE_STEP_US
        camera.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL_EXPOSURE)
        if not camera.set(cv2.CAP_PROP_EXPOSURE, steps) or round(camera.get(cv2.CAP_PROP_EXPOSURE)) != steps:
            return f"exposure_us: the camera does not take {settings.exposure_us}: see `v4l2-ctl --list-ctrls`"
    return None


def _fourcc(camera: cv2.VideoCapture) -> str:
    return int(camera.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace")


class _Grabber:
    """A camera read through OpenCV."""

    def __init__(self, camera: cv2.VideoCapture, grey_window: GreyWindow | None) -> None:
        self._camera, self._grey_window = camera, grey_window
        height, width = (int(camera.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size = (height, width) if height > 0 and width > 0 else None
        self.is_file = camera.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.ended = "the connection ended"

    def read(self) -> Pixels | Uninspected | None:
        try:
            good, image = self._camera.read()
        except cv2.error:
            return None
        return mono(image, self._grey_window) if good else None

    def release(self) -> None:
        self._camera.release()


def mono(image: MatLike, grey_window: GreyWindow | None = None) -> Pixels | Uninspected:
    """Convert an image to one plane of 8 bits, or return the fault.

    Colour becomes ITU-R BT.601 luma, as in OpenCV; 16-bit grey is read through `grey_window`.
    """
    if image.dtype == np.uint16 and image.ndim == 2 and grey_window is not None:
        return through_window(image, grey_window)
    if image.dtype != np.uint8:
        return Uninspected(
            Code.UNREADABLE,
            f"a frame of {image.dtype} samples; set grey_window in the config, or the camera to 8 bits",
        )
    if image.ndim == 3 and image.shape[2] in {3, 4}:
        code = cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 or image.size == 0:
        return Uninspected(Code.UNREADABLE, f"a frame of shape {image.shape}; set the camera to grey or BGR")
    return np.ascontiguousarray(image, dtype=np.uint8)
