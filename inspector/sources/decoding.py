"""Decodes a video stream so that no damage goes unsaid: every packet becomes a frame or a fault."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from inspector.errors import SourceError
from inspector.values import Pixels

_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv"
"""FFmpeg's demuxers that are allowed. Playlists are not among them: they make FFmpeg open other files."""

_LONGEST_GAP_S: Final = 10.0
"""A longer jump of the time stamps is taken for a new count, not for missing frames."""

_COVER: Final = av.stream.Disposition.attached_pic
"""A still picture that some files carry as a second video stream."""


class Greys:
    """Turns decoded frames into full-range grey, with one converter for all of them."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def pixels(self, frame: VideoFrame) -> Pixels:
        """uint8 [H, W] as the eye sees it: limited range (16..235) is stretched, grey stays bit-exact."""
        grey = self._reformatter.reformat(frame, format="gray", dst_color_range=ColorRange.JPEG, threads=1)
        return np.ascontiguousarray(grey.to_ndarray(), dtype=np.uint8)


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a local video for decoding in which damage is an error; raises SourceError.

    Nothing but the file itself is opened: a playlist in it that names other files or addresses is refused.
    """
    try:
        container = av.open(
            f"file:{path.absolute()}",
            mode="r",
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        )
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
            f"{path}: cannot be opened as a video ({error.strerror}); "
            "it is no video, or it was cut off before its index was written"
        ) from error
    stream = careful_stream(container)
    if stream is None:
        container.close()
        raise SourceError(f"{path}: holds no video")
    return container, stream


def careful_stream(container: InputContainer) -> VideoStream | None:
    """The container's first video, set up so that damage is an error; None where it holds none."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        return None
    stream = streams[0]
    context = stream.codec_context
    # Frame threads would report an error with a later packet; slice threads report it with its own.
    context.thread_type = av.codec.context.ThreadType.SLICE
    # By default FFmpeg repairs what it can and says nothing: a repaired frame would be inspected as steel.
    context.options = {"err_detect": "explode"}
    context.copy_opaque = True
    if context.name == "ffv1":
        context.thread_count = 1  # so that its log lines, see _decode, come from the calling thread
    return stream


class Decoder:
    """Decodes one stream, and keeps account of which packet became which frame."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._any_damage = False
        self._is_steady = stream.average_rate == stream.base_rate and "mp4" not in container.format.name
        self._waiting: dict[int, _Sent] = {}
        """By packet number: what was sent to the decoder and did not come out yet."""
        self._broken_since: int | None = None
        """The last damaged packet; frames that follow it build on it, up to the next key frame."""
        self.end_s = 0.0
        """Where the last frame ends, seconds from the start of the stream."""
        self.discarded = 0
        """Packets that the container holds but marks as not to be shown."""
        self.broken_off: str | None = None
        """Why no more packets could be read, unless the file simply ended."""

    def frames(self) -> Iterator[VideoFrame | str]:
        """Frames, or faults in the place of frames, in order of display."""
        number = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self.broken_off = str(error.strerror)
                packet = None
            if packet is None or (packet.size == 0 and packet.dts is None):
                break
            packet.opaque = number
            self.discarded += packet.is_discard
            self._waiting[number] = _Sent(self._seconds(packet.pts if packet.pts is not None else packet.dts))
            if packet.size == 0:
                self._strike(number, "the video holds no picture for this frame")
            else:
                if packet.is_corrupt:
                    self._strike(number, "cut off or damaged in the file")
                yield from self._in_order(self._decode(packet, number))
            number += 1
        yield from self._in_order(self._decode(None, number))
        yield from self._due(float("inf"))

    def _seconds(self, ticks: int | None) -> float:
        """Time from the start of the stream; the end of what was shown where there is no time stamp."""
        if ticks is None or self._stream.time_base is None:
            return self.end_s
        return float((ticks - (self._stream.start_time or 0)) * self._stream.time_base)

    def _strike(self, number: int, why: str) -> None:
        if number in self._waiting:  # not at the final flush, which belongs to no packet
            self._waiting[number].why = self._waiting[number].why or why
            self._broken_since = number
            self._any_damage = True

    def _decode(self, packet: "av.Packet[VideoStream] | None", number: int) -> list[VideoFrame]:
        is_ffv1 = self._stream.codec_context.name == "ffv1"
        try:
            with _logged_errors() if is_ffv1 else nullcontext(()) as lines:
                frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            self._strike(number, f"cannot be decoded: {error.strerror}")
            return []
        if lines:
            self._strike(number, f"damaged: {lines[0][2].splitlines()[0]}")
        return frames

    def _in_order(self, frames: list[VideoFrame]) -> Iterator[VideoFrame | str]:
        for frame in frames:
            shown_s = self._seconds(frame.pts if frame.pts is not None else frame.dts)
            number = frame.opaque if isinstance(frame.opaque, int) else None
            yield from self._due(shown_s, but=number)
            yield from self._skipped(shown_s)
            yield self._judge(frame, number)

    def _judge(self, frame: VideoFrame, number: int | None) -> VideoFrame | str:
        sent = self._waiting.pop(number, None) if number is not None else None
        if sent is not None and sent.why is not None:
            return sent.why
        if frame.is_corrupt:
            return "damaged: the decoder marks it as corrupt"
        if self._broken_since is not None and (number is None or number > self._broken_since):
            if not frame.key_frame:
                return "builds on a damaged frame before it"
            self._broken_since = None
        return frame

    def _due(self, before_s: float, but: int | None = None) -> Iterator[str]:
        """Faults of frames that should have been shown by now and never came out.

        Without any damage, a packet that yields no frame is the codec's way (VP8 hides some) and no loss.
        """
        due = sorted(
            (sent.shown_s, number)
            for number, sent in self._waiting.items()
            if sent.shown_s < before_s and number != but
        )
        for shown_s, number in due:
            why = self._waiting.pop(number).why
            if why is not None or self._any_damage:
                yield from self._skipped(shown_s)
                yield why or "lost to damage next to it: the decoder gave no frame"

    def _skipped(self, shown_s: float) -> Iterator[str]:
        """Faults of the frames between the last one and one shown at `shown_s`; moves on behind that one.

        A damaged stretch is often skipped by the demuxer without a word; time stamps that jump are what is left
        of it. An MP4 lists its frames, there a jump is meant; so it is where the frame rate varies.
        """
        rate = self._stream.average_rate
        if not rate:
            return
        jump_s = shown_s - self.end_s
        if self._is_steady and jump_s < _LONGEST_GAP_S:
            for _ in range(round(jump_s * float(rate))):
                yield f"missing: the video skips from {self.end_s:.2f} s to {shown_s:.2f} s"
        self.end_s = max(self.end_s, shown_s + 1.0 / float(rate))


@dataclass
class _Sent:
    """A packet that the decoder holds."""

    shown_s: float
    """When its frame should be shown, from the start of the stream."""
    why: str | None = None
    """What is wrong with it."""


@contextmanager
def _logged_errors() -> Iterator[list[tuple[int, str, str]]]:
    """FFmpeg's error lines of this thread: FFV1 only logs a checksum that does not match."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as lines:
            yield lines
    finally:
        av.logging.set_level(level)
