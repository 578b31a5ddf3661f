"""Opens videos so that damage raises errors, and converts decoded frames to grey."""

import re
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from inspector.errors import SourceError
from inspector.images import GreyWindow, through_window
from inspector.values import Pixels

_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv"
"""Allowed FFmpeg demuxers. Playlists are excluded: they make FFmpeg open other files."""

_DEEP_BITS: Final = 16
"""Bits per sample that do not reveal the sensor's depth: 10 or 12 bits stored in 16 look almost black."""

_DEEP_GREY: Final = re.compile(r"gray(?:9|10|12|14|16)(le|be)")

_COVER: Final = av.stream.Disposition.attached_pic
"""A still picture that some files carry as a second video stream."""


class Greys:
    """Converts decoded frames to full-range grey, with one converter for all of them."""

    def __init__(self, window: GreyWindow | None = None) -> None:
        self._reformatter = VideoReformatter()
        self._window = window

    def pixels(self, frame: VideoFrame) -> Pixels:
        """Return uint8 [H, W] in full range: limited range (16..235) is stretched, grey stays bit-exact."""
        deep = _DEEP_GREY.fullmatch(frame.format.name)
        if self._window is not None and deep is not None:
            return through_window(_samples(frame, deep[1]), self._window)
        grey = self._reformatter.reformat(frame, format="gray", dst_color_range=ColorRange.JPEG, threads=1)
        return np.ascontiguousarray(grey.to_ndarray(), dtype=np.uint8)


def _samples(frame: VideoFrame, order: str) -> NDArray[np.uint16]:
    plane = frame.planes[0]
    kind = np.dtype(">u2" if order == "be" else "<u2")
    rows: NDArray[np.uint16] = np.frombuffer(memoryview(plane), dtype=kind).reshape(plane.height, -1)
    return rows[:, : frame.width].astype(np.uint16)


def unknown_scale(stream: VideoStream, window: GreyWindow | None) -> str | None:
    """Return why the video's black and white levels are unknown; None when they are known.

    Common colour formats of 10 and 12 bits define them. Deep grey video holds the raw samples of a machine camera,
    whose range only a grey window can tell.
    """
    if not stream.pix_fmt:
        return None
    bits = max((part.bits for part in stream.format.components), default=8)
    if _DEEP_GREY.fullmatch(stream.pix_fmt):
        advice = "state the samples that are black and white: grey_window = [low, high] in the config"
        return None if window is not None else f"{bits}-bit grey video: {advice}"
    return f"{bits}-bit video of unknown scale; store it with 8 bits" if bits >= _DEEP_BITS else None


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a local video so that damage raises errors; raises SourceError.

    Nothing but the file itself is opened: a playlist that names other files or addresses is refused.
    """
    try:
        container = av.open(
            f"file:{path.absolute()}",
            mode="r",
            metadata_errors="replace",
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
                "advanced_editlist": "0",  # else FFmpeg drops frames that an MP4's edit list hides
            },
        )
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
            f"{path}: cannot be opened as a video ({error.strerror}); "
            "it is not a video, or it was cut off before its index was written"
        ) from error
    stream = careful_stream(container)
    if stream is None:
        container.close()
        raise SourceError(f"{path}: holds no video")
    return container, stream


def careful_stream(container: InputContainer) -> VideoStream | None:
    """Return the container's first video, set up so that damage raises errors; None when it holds no video."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        return None
    stream = streams[0]
    context = stream.codec_context
    # By default FFmpeg silently repairs what it can, and a repaired frame would be inspected as steel.
    context.options = {"err_detect": "explode"}
    context.copy_opaque = True
    context.thread_count = 1  # FFmpeg's log lines, see Decoder, then come from the calling thread
    return stream
