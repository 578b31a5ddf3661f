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

from inspector.sources import ffmpeg_log
from inspector.sources.h264_order import H264Order
from inspector.sources.hevc_order import HevcOrder
from inspector.sources.picture_order import Order, OrderReader
from inspector.sources.timeline import Timeline
from inspector.values import Code, Uninspected

LOOK_AHEAD: Final = 64
"""Packets of a file that are read before the first one is decoded. They show the frame rate and missing frames.
H.264 reorders at most 16."""

_MOST_EMPTY_CHUNKS: Final = 100_000
"""Most consecutive packets that an AVI may leave out, an hour at 25 frames/s; more means a damaged index."""

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
        yield from ahead

    def _packets(self) -> "Iterator[tuple[Packet[VideoStream], bool]]":
        """Yield packets, each with whether the demuxer reported a loss directly before it."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                with ffmpeg_log.listen() as said:
                    packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.timed_out = isinstance(error, av.error.ExitError)
                self.broken_off = str(error.strerror)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            yield packet, any(self._is_about_this(line) for line in said)

    def _is_about_this(self, line: str) -> bool:
        """Return whether the message concerns this stream; some messages name another one, such as the sound."""
        named = _STREAM_NAMED.search(line)
        return named is None or int(named[1]) == self._stream.index

    def _arrived(self, packet: "Packet[VideoStream]", *, after_loss: bool) -> Sent:
        """Parse a packet's header."""
        sent = self._new(packet.pts if packet.pts is not None else packet.dts)
        sent.after_loss = after_loss
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


def _order_reader(codec: str, extradata: bytes | None) -> OrderReader | None:
    """Return a reader for codecs that number their pictures."""
    if codec == "h264":
        return H264Order(extradata)
    return HevcOrder(extradata) if codec == "hevc" else None
