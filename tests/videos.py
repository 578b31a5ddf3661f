"""Real video files for tests, made with PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorRange

from inspector.values import Pixels

RATE = 25


def write_video(
    path: Path,
    frames: Sequence[Pixels],
    *,
    codec: str,
    pixel_format: str = "yuv420p",
    full_range: bool = False,
    muxer: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode mono frames, uint8 [H, W] of one size, at 25 frames/s; the ending of `path` picks the container."""
    colour_range = ColorRange.JPEG if full_range or pixel_format == "gray" else ColorRange.MPEG
    with av.open(str(path), "w", container_options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = pixel_format
        stream.height, stream.width = frames[0].shape
        if pixel_format != "gray":
            stream.color_range = colour_range
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(
                format=pixel_format, src_color_range=ColorRange.JPEG, dst_color_range=colour_range
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
