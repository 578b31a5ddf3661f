"""Decodes a video stream so that no damage goes unsaid: every packet becomes a frame or a fault."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import structlog
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from inspector.sources import ffmpeg_log
from inspector.sources.h264_order import H264Order
from inspector.sources.hevc_order import HevcOrder
from inspector.sources.picture_order import Order, OrderReader
from inspector.sources.timeline import Timeline
from inspector.values import Code, Uninspected

_LOOK_AHEAD: Final = 64
"""Packets of a file that are read before the first is decoded: they tell the frame rate, and where frames are
missing. H.264 reorders at most 16."""

_PAUSE_S: Final = 1.0
"""Where nothing but the time stamps jump: up to here frames are missing, a longer jump is a camera that paused."""

_LONGEST_LOSS_S: Final = 10.0
"""Time stamps that jump further count no frames."""

_LEAST_STEPS: Final = 4
_STEP_SHARE: Final = 0.75
"""Steps of the display order, and the share of them that is alike, from which the numbers count frames."""

LOST: Final = Uninspected(Code.STREAM_DAMAGED, "lost: the stream skips frames here")
_BUILDS_ON_DAMAGE: Final = Uninspected(
    Code.STREAM_DAMAGED, "builds on lost or damaged data before it, up to the next key frame"
)
_MARKED: Final = Uninspected(Code.STREAM_DAMAGED, "damaged: the decoder repaired it")
_NO_PICTURE: Final = Uninspected(Code.UNREADABLE, "the video holds no picture for this frame")
_CUT: Final = Uninspected(Code.STREAM_DAMAGED, "cut off or damaged on the way or in the file")
_NO_OUTPUT: Final = Uninspected(Code.STREAM_DAMAGED, "lost to damage next to it: the decoder gave no frame")

_INTRA_CODECS: Final = frozenset({"png", "huffyuv", "ffvhuff", "utvideo", "prores", "dnxhd", "jpeg2000", "magicyuv"})
"""Codecs whose frames stand alone beside those that FFmpeg knows as such. FFV1 is not one: its frames share
statistics up to the next key frame."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Sent:
    """A packet that the decoder holds."""

    number: int
    ticks: int | None
    """When it is shown; None where the container does not say it."""
    order: Order | None = None
    why: Uninspected | None = None
    """What is wrong with it."""
    has_picture: bool = True


class Decoder:
    """Decodes one stream, and keeps account of which packet became which frame.

    An inter-coded frame is a guess once anything before it is lost or damaged, up to the next key frame, even where
    the decoder does not say a word.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, live: bool = False) -> None:
        self._container = container
        self._stream = stream
        codec = stream.codec_context
        self._is_vp8 = codec.name == "vp8"
        self._is_intra = codec.codec.intra_only or codec.name in _INTRA_CODECS
        self._has_display_times = "avi" not in container.format.name
        self._look_ahead = 0 if live else _LOOK_AHEAD
        self._reader = _order_reader(codec.name, codec.extradata)
        self._tick_s = float(stream.time_base or 1)
        self._timeline = Timeline(self._tick_s)
        self._waiting: dict[int, _Sent] = {}
        """By packet number: what was sent to the decoder and did not come out yet."""
        self._damages: list[float] = [] if self._is_intra else [-0.5]
        """Packets that are damaged; what is lost between two packets lies halfway. Before the first packet all is."""
        self._any_damage = False
        self._evidence = False
        """The demuxer has reported a loss since the last frame that was shown."""
        self._holes: deque[int] = deque(maxlen=_LOOK_AHEAD)
        """Holes in the time stamps whose damage is noted."""
        self._steps: deque[int] = deque(maxlen=2 * _LOOK_AHEAD)
        self._shown: _Sent | None = None
        """The last frame, or fault, that was handed over."""
        self._first_ticks: int | None = None
        self._last_ticks: int | None = None
        self.packets = 0
        """Packets that were read, whatever became of them."""
        self.discarded = 0
        """Of them, those that the container marks as not to be shown."""
        self.broken_off: str | None = None
        """Why no more packets could be read, unless the file simply ended."""

    @property
    def end_s(self) -> float:
        """Where the last frame ends, seconds from the first."""
        if self._first_ticks is None or self._last_ticks is None:
            return 0.0
        rate = self._stream.average_rate
        return (self._last_ticks - self._first_ticks) * self._tick_s + (1.0 / float(rate) if rate else 0.0)

    @property
    def is_broken(self) -> bool:
        """Frames are guesses at the moment."""
        return bool(self._damages)

    def frames(self) -> Iterator[VideoFrame | Uninspected]:
        """Frames, or faults in the place of frames, in order of display."""
        ahead: deque[tuple[Packet[VideoStream], bool]] = deque()
        for packet, after_loss in self._packets():
            ticks = packet.pts if packet.pts is not None else packet.dts
            if ticks is not None:
                self._timeline.add(ticks)
            ahead.append((packet, after_loss))
            if len(ahead) > self._look_ahead:
                yield from self._take(*ahead.popleft())
        while ahead:
            yield from self._take(*ahead.popleft())
        yield from self._in_order(self._decode(None, None))
        yield from self._due(None)

    def _packets(self) -> "Iterator[tuple[Packet[VideoStream], bool]]":
        """Packets, and whether the demuxer reports that something is missing right before."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                with ffmpeg_log.listen() as said:
                    packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.broken_off = str(error.strerror)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            yield packet, bool(said)

    def _take(self, packet: "Packet[VideoStream]", after_loss: bool) -> Iterator[VideoFrame | Uninspected]:  # noqa: FBT001
        number = self.packets
        self.packets += 1
        packet.opaque = number
        self.discarded += packet.is_discard
        sent = _Sent(number, packet.pts if packet.pts is not None else packet.dts)
        self._waiting[number] = sent
        if after_loss:
            self._evidence = True
            self._damage(number - 0.5)
        if packet.size == 0:
            self._strike(sent, _NO_PICTURE)
            return
        if packet.is_corrupt:
            self._strike(sent, _CUT)
        self._place(sent, bytes(packet))
        yield from self._in_order(self._decode(packet, sent))

    def _place(self, sent: _Sent, data: bytes) -> None:
        """Read the packet's number, and note what is missing before it."""
        if self._reader is not None:
            try:
                sent.order = self._reader.read(data, sent.number)
            except ValueError as error:
                self._strike(sent, Uninspected(Code.STREAM_DAMAGED, f"damaged: {error}"))
            else:
                sent.has_picture = sent.order is not None
        elif self._is_vp8:
            sent.has_picture = bool(data[0] & 0x10)  # show_frame, RFC 6386 section 9.1
        if sent.order is not None and sent.order.shows_losses:
            if sent.order.lost:
                self._damage(sent.number - 0.5)
        elif not self._is_intra and sent.ticks is not None:
            for hole in self._timeline.holes_around(sent.ticks):
                if sent.ticks < hole or hole not in self._holes:
                    self._damage(sent.number - 0.5)
                if sent.ticks >= hole:
                    self._holes.append(hole)

    def _damage(self, at: float) -> None:
        self._any_damage = True
        if not self._is_intra:
            self._damages.append(at)

    def _strike(self, sent: _Sent, why: Uninspected) -> None:
        sent.why = sent.why or why
        self._damage(sent.number)

    def _decode(self, packet: "Packet[VideoStream] | None", sent: _Sent | None) -> list[VideoFrame]:
        try:
            with ffmpeg_log.listen() as said:
                frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            if sent is not None:  # at the final flush there is none
                self._strike(sent, Uninspected(Code.UNREADABLE, f"cannot be decoded: {error.strerror}"))
            return []
        if said and sent is not None:
            self._strike(sent, Uninspected(Code.STREAM_DAMAGED, f"damaged: {said[0]}"))
        return frames

    def _in_order(self, frames: list[VideoFrame]) -> Iterator[VideoFrame | Uninspected]:
        for frame in frames:
            sent = self._waiting.pop(frame.opaque, None) if isinstance(frame.opaque, int) else None
            if sent is None:  # a second frame of one packet
                yield _BUILDS_ON_DAMAGE if self._damages else frame
                continue
            yield from self._due(sent, is_anchor=frame.pict_type != PictureType.B)
            yield from self._missing_before(sent)
            yield self._judge(frame, sent)

    def _judge(self, frame: VideoFrame, sent: _Sent) -> VideoFrame | Uninspected:
        if sent.order is not None:
            clean_from = sent.order.clean_from
        else:
            clean_from = sent.number if frame.key_frame else None
        if clean_from is not None:
            self._damages = [at for at in self._damages if at >= clean_from]
        if sent.why is not None:
            return sent.why
        if frame.is_corrupt:
            self._damage(sent.number)
            return _MARKED
        return _BUILDS_ON_DAMAGE if any(at <= sent.number for at in self._damages) else frame

    def _due(self, shown: _Sent | None, *, is_anchor: bool = True) -> Iterator[Uninspected]:
        """Faults of packets that should have been shown before `shown` (None: by now) and never came out.

        Without damage, a packet that yields no frame is the codec's way (VP9 and packed MPEG-4 have such) and no
        loss; H.264 and H.265 have none.
        """
        due = [
            sent
            for sent in self._waiting.values()
            if shown is None or self._precedes(sent, shown, is_anchor=is_anchor)
        ]
        for sent in sorted(due, key=self._display_key):
            del self._waiting[sent.number]
            is_lost = sent.why is not None or (
                sent.has_picture and (self._any_damage or sent.order is not None or self._is_intra)
            )
            if is_lost:
                yield from self._missing_before(sent)
                yield sent.why or _NO_OUTPUT

    def _display_key(self, sent: _Sent) -> tuple[int, int]:
        if self._has_display_times and sent.ticks is not None:
            return sent.ticks, sent.number
        return sent.number, 0

    def _precedes(self, sent: _Sent, shown: _Sent, *, is_anchor: bool) -> bool:
        """Whether `sent` is shown before `shown`, of which the frame has just come out."""
        a, b = sent.order, shown.order
        if a is not None and b is not None and a.shown is not None and b.shown is not None:
            return (a.sequence, a.shown) < (b.sequence, b.shown)
        if self._has_display_times and sent.ticks is not None and shown.ticks is not None:
            return sent.ticks < shown.ticks
        return is_anchor and sent.number < shown.number  # B-frames overtake the frames that they build on

    def _missing_before(self, sent: _Sent) -> Iterator[Uninspected]:
        """Faults of the frames that are missing between the last one that was shown and this one."""
        last, self._shown = self._shown, sent
        if sent.ticks is not None:
            self._first_ticks = sent.ticks if self._first_ticks is None else min(self._first_ticks, sent.ticks)
            self._last_ticks = sent.ticks if self._last_ticks is None else max(self._last_ticks, sent.ticks)
        if last is None:
            return
        by_time = self._missing_by_time(last, sent)
        by_number = self._missing_by_number(last, sent)
        if by_number is None:
            count = by_time if self._evidence or self._is_short(by_time) else 0
            if by_time and not count:
                log.warning("the video jumps in time: a pause, or frames were lost", seconds=round(self.end_s, 2))
        else:
            count = by_time if by_number and by_time else by_number
        self._evidence = False
        for _ in range(count):
            yield LOST

    def _is_short(self, frames: int) -> bool:
        return frames * (self._timeline.interval or 0.0) * self._tick_s <= _PAUSE_S

    def _missing_by_time(self, last: _Sent, sent: _Sent) -> int:
        if last.ticks is None or sent.ticks is None or not (self._has_display_times or self._is_intra):
            return 0
        if (sent.ticks - last.ticks) * self._tick_s > _LONGEST_LOSS_S:
            return 0
        return self._timeline.missing(last.ticks, sent.ticks)

    def _missing_by_number(self, last: _Sent, sent: _Sent) -> int | None:
        """From the numbers in the stream; None where they do not tell."""
        a, b = last.order, sent.order
        if a is None or b is None or a.sequence != b.sequence:
            return None
        if a.shown is None or b.shown is None:
            return b.lost if b.counts_all or b.lost else None
        distance = b.shown - a.shown
        if distance <= 0:
            return None
        step = self._usual_step()
        self._steps.append(distance)
        if step is None:
            return b.lost or None
        missing = max(0, round(distance / step) - 1)
        if missing and self._stream.codec_context.name == "hevc":
            self._damage(sent.number - 0.5)
        return missing

    def _usual_step(self) -> int | None:
        """How far the display order moves from frame to frame; None where it does not count frames."""
        if len(self._steps) < _LEAST_STEPS:
            return None
        step, count = Counter(self._steps).most_common(1)[0]
        return step if count >= _STEP_SHARE * len(self._steps) else None


def _order_reader(codec: str, extradata: bytes | None) -> OrderReader | None:
    """For codecs that number their pictures."""
    if codec == "h264":
        return H264Order(extradata)
    return HevcOrder(extradata) if codec == "hevc" else None
