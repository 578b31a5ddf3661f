"""Reads packets ahead of the decoder and parses their headers."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from inspector.sources.video import ffmpeg_log
from inspector.sources.video.h264 import H264Order
from inspector.sources.video.hevc import HevcOrder
from inspector.sources.video.picture_order import Order, OrderReader
from inspector.sources.video.timeline import Timeline
from inspector.values import Code, Uninspected

LOOK_AHEAD: Final = 64
"""Packets of a file that are read before the first one is decoded. They show the frame rate and missing frames.
H.264 reorders at most 16."""

_MOST_EMPTY_CHUNKS: Final = 100_000
"""Most consecutive packets that an AVI may leave out, an hour at 25 frames/s; more means a damaged index."""

_MOST_BYTES_BETWEEN: Final = 512
"""Most bytes between two frames of a Matroska with a single stream: the headers of a block and of a cluster."""

_HALF_A_FRAME: Final = 0.5
"""Frame intervals by which the last frame may end before the stated duration; time stamps are rounded."""

_STREAM_NAMED: Final = re.compile(r"\(stream = (\d+),")

LOST: Final = Uninspected(Code.STREAM_DAMAGED, "lost: the stream skips frames here")
_NO_PICTURE: Final = Uninspected(Code.UNREADABLE, "the video holds no picture for this frame")
_CUT: Final = Uninspected(Code.STREAM_DAMAGED, "cut off or damaged on the way or in the file")


@dataclass(slots=True)
class Sent:
    """Facts about one packet."""

    number: int
    ticks: int | None
    """Display time; None when the container has none."""
    order: Order | None = None
    why: Uninspected | None = None
    """Why the packet is unusable."""
    has_picture: bool = True
    is_key: bool = False
    """Whether the container says that it is a key frame."""
    after_loss: bool = False
    """Whether the demuxer reported a loss directly before it."""


class PacketReader:
    """Yields packets in stream order, each with what is known about it."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, timeline: Timeline, look_ahead: int
    ) -> None:
        self._container = container
        self._stream = stream
        self._timeline = timeline
        self._look_ahead = look_ahead
        codec = stream.codec_context
        self._is_vp8 = codec.name == "vp8"
        self._order_reader = _order_reader(codec.name, codec.extradata)
        self.is_numbered = self._order_reader is not None
        """Whether the codec numbers its pictures."""
        self.has_display_times = "avi" not in container.format.name
        self._last_chunk: int | None = None
        self.damaged: deque[int] = deque(maxlen=4 * LOOK_AHEAD)
        """Numbers of packets that are damaged or come after a loss, those read ahead and some before."""
        self._is_matroska = "matroska" in container.format.name and len(container.streams) == 1
        self._listens_to_ts = look_ahead > 0 and "mpegts" in container.format.name
        self._end_of_last: int | None = None
        self._tick_s = float(stream.time_base or 1)
        self._first_ticks: int | None = None
        self._last_ticks: int | None = None
        self.count = 0
        """Packets read, including those that an AVI leaves out."""
        self.timed_out = False
        """Whether reading stopped because the container's time-out passed."""
        self.broken_off: str | None = None
        """Why reading stopped early; None when the file ended normally."""

    def __iter__(self) -> "Iterator[tuple[Sent, Packet[VideoStream] | None]]":
        """Yield each packet once its look-ahead is read; None stands for a packet that an AVI leaves out."""
        ahead: deque[tuple[Sent, Packet[VideoStream] | None]] = deque()
        for packet, after_loss in self._packets():
            ahead.extend((empty, None) for empty in self._empty_chunks(packet))
            ahead.append((self._arrived(packet, after_loss=after_loss), packet))
            while len(ahead) > self._look_ahead:
                yield ahead.popleft()
        if self.cut_off_of is not None or self._timeline.ends_in_reordering:
            self.damaged.append(self.count)
        yield from ahead

    @property
    def cut_off_of(self) -> int | None:
        """About how many frames the file should hold; None when it does not end before the duration it states."""
        stated_s, rate = _stated_seconds(self._container, self._stream), self._stream.average_rate
        if not stated_s or not rate:
            return None
        end_s = 0.0
        if self._first_ticks is not None and self._last_ticks is not None:
            end_s = (self._last_ticks - self._first_ticks) * self._tick_s + 1.0 / float(rate)
        is_cut_off = end_s < stated_s - max(_HALF_A_FRAME / float(rate), self._tick_s)
        return round(stated_s * float(rate)) if is_cut_off else None

    def _packets(self) -> "Iterator[tuple[Packet[VideoStream], bool]]":
        """Yield packets, each with whether the demuxer reported a loss directly before it."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                with ffmpeg_log.listen(to_ts=self._listens_to_ts) as said:
                    packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.timed_out = isinstance(error, av.error.ExitError)
                self.broken_off = str(error.strerror)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            if self._skips_bytes(packet) or any(ffmpeg_log.TS_LOSS in line for line in said):
                self.damaged.append(self.count)
            yield packet, any(self._is_about_this(line) for line in said if ffmpeg_log.TS_LOSS not in line)

    def _skips_bytes(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether bytes of the file lie between the packet before and this one.

        After damage, the Matroska demuxer searches the next cluster and reports nothing.
        """
        before, at = self._end_of_last, packet.pos
        self._end_of_last = None if at is None else at + packet.size
        return self._is_matroska and before is not None and at is not None and at - before > _MOST_BYTES_BETWEEN

    def _is_about_this(self, line: str) -> bool:
        """Return whether the message concerns this stream; some messages name another one, such as the sound."""
        named = _STREAM_NAMED.search(line)
        return named is None or int(named[1]) == self._stream.index

    def _arrived(self, packet: "Packet[VideoStream]", *, after_loss: bool) -> Sent:
        """Parse a packet's header."""
        sent = self._new(packet.pts if packet.pts is not None else packet.dts)
        sent.after_loss = after_loss
        sent.is_key = packet.is_keyframe
        packet.opaque = sent.number
        if packet.is_corrupt:
            sent.why = _CUT
        if packet.size == 0:
            sent.why = _NO_PICTURE
        elif self._order_reader is not None:
            try:
                sent.order = self._order_reader.read(bytes(packet), sent.number)
                sent.has_picture = sent.order is not None
            except ValueError as error:
                sent.why = Uninspected(Code.STREAM_DAMAGED, f"damaged: {error}")
        elif self._is_vp8:
            sent.has_picture = bool(bytes(packet)[0] & 0x10)  # show_frame, RFC 6386 section 9.1
        if sent.ticks is not None and sent.has_picture:
            self._timeline.add(sent.ticks)
            self._first_ticks = sent.ticks if self._first_ticks is None else min(self._first_ticks, sent.ticks)
            self._last_ticks = sent.ticks if self._last_ticks is None else max(self._last_ticks, sent.ticks)
        if after_loss or sent.why is not None:
            self.damaged.append(sent.number)
        return sent

    def _new(self, ticks: int | None) -> Sent:
        sent = Sent(self.count, ticks)
        self.count += 1
        return sent

    def _empty_chunks(self, packet: "Packet[VideoStream]") -> Iterator[Sent]:
        """Yield the packets that an AVI leaves out.

        AVI numbers packets, so a skipped number is a frame its writer lost.
        """
        if self.has_display_times:
            return
        ticks = packet.dts
        if ticks is not None and self._last_chunk is not None and ticks - self._last_chunk <= _MOST_EMPTY_CHUNKS:
            for number in range(self._last_chunk + 1, ticks):
                empty = self._new(number)
                empty.why = LOST
                yield empty
        self._last_chunk = ticks


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the video's duration from the header; None when the header states none for the video alone."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / 1e6  # AV_TIME_BASE: microseconds
        # These two state where the last frame ends, on a clock that need not start at 0.
        counts_from_zero = any(name in container.format.name for name in ("matroska", "flv"))
        return seconds - (container.start_time or 0) / 1e6 if counts_from_zero else seconds
    return None


def _order_reader(codec: str, extradata: bytes | None) -> OrderReader | None:
    """Return a reader for codecs that number their pictures."""
    if codec == "h264":
        return H264Order(extradata)
    return HevcOrder(extradata) if codec == "hevc" else None
