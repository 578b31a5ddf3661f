"""Real video files for tests, made with PyAV, and what networks and recorders do to them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from inspector.values import Pixels

RATE = 25


def moving_steel(count: int, height: int = 64, width: int = 128, step: int = 4) -> list[Pixels]:
    """Frames of a texture that moves by `step` rows from frame to frame, as inter-coding expects it."""
    noise = np.random.default_rng(5).integers(40, 200, (height + step * count, width), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return [np.ascontiguousarray(texture[step * n : step * n + height]) for n in range(count)]


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
    with _usual_scheduling(), av.open(str(path), "w", container_options=muxer or {}) as container:
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


@contextmanager
def _usual_scheduling() -> Iterator[None]:
    """SVT-AV1 gives root's calling thread real-time priority 99, and its children: no other test would run."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def remux(
    source: Path,
    target: Path,
    *,
    keep: Callable[[int], bool] | None = None,
    when_ms: Callable[[int], int] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Copy a video's packets: those whose number `keep` takes, at the times that `when_ms` gives to frames."""
    with av.open(str(source)) as container, av.open(str(target), "w", container_options=muxer or {}) as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream, opaque=True)
        assert stream.time_base is not None
        number = 0
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if keep is None or keep(number):
                if when_ms is not None:
                    _retime(packet, when_ms, stream.time_base)
                packet.stream = copy
                out.mux(packet)
            number += 1
    return target


def _retime(packet: "av.Packet[av.VideoStream]", when_ms: Callable[[int], int], time_base: Fraction) -> None:
    pts, dts = (
        None if ticks is None else when_ms(round(ticks * time_base * RATE)) for ticks in (packet.pts, packet.dts)
    )
    packet.time_base = Fraction(1, 1000)
    packet.pts, packet.dts, packet.duration = pts, dts, 1000 // RATE
