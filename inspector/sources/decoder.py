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
from inspector.sources.timeline import Gap, Timeline
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

_MOST_EMPTY_CHUNKS: Final = 100_000
"""Packets that an AVI may leave out in one place, an hour at 25 frames/s; more is a damaged index."""

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

_FORGETS: Final = "mmco: unref short failure"

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
    after_loss: bool = False
    """The demuxer has reported a loss right before it."""


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
        # MPEG program streams have time stamps for some frames only, the others are counted from those.
        self._stamps_reach = _LOOK_AHEAD if container.format.name == "mpeg" else 0
        self._look_ahead = 0 if live else _LOOK_AHEAD
        self._reader = _order_reader(codec.name, codec.extradata)
        self._tick_s = float(stream.time_base or 1)
        self._timeline = Timeline(self._tick_s)
        self._waiting: dict[int, _Sent] = {}
        """By packet number: what was sent to the decoder and did not come out yet."""
        self._given_up: deque[int] = deque(maxlen=_LOOK_AHEAD)
        """Packets that a fault stands for; a decoder without a reference may yet show their frames, out of order."""
        self._gap: Gap | None = None if self._reader is None else Gap(self._timeline, None)
        """H.264 and H.265: nothing is sound at the moment; so it is before the first key frame."""
        self._restart: _Sent | None = None
        """The packet at which decoding began afresh after damage."""
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
        self._last_chunk: int | None = None
        self._first_ticks: int | None = None
        self._last_ticks: int | None = None
        self.packets = 0
        """Packets that were read, whatever became of them."""
        self.discarded = 0
        """Of them, those that the container marks as not to be shown."""
        self.timed_out = False
        """Nothing came in the time that the container was opened with."""
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
        ahead: deque[tuple[_Sent, Packet[VideoStream] | None]] = deque()
        for packet, after_loss in self._packets():
            ahead.extend((empty, None) for empty in self._empty_chunks(packet))
            ahead.append((self._arrived(packet, after_loss=after_loss), packet))
            while len(ahead) > self._look_ahead:
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
                self.timed_out = isinstance(error, av.error.ExitError)
                self.broken_off = str(error.strerror)
                return
            if packet is None or (packet.size == 0 and packet.dts is None):
                return
            yield packet, bool(said)

    def _arrived(self, packet: "Packet[VideoStream]", *, after_loss: bool) -> _Sent:
        """Read what the packet says of itself."""
        sent = self._new(packet.pts if packet.pts is not None else packet.dts)
        sent.after_loss = after_loss
        packet.opaque = sent.number
        self.discarded += packet.is_discard
        if packet.is_corrupt:
            sent.why = _CUT
        if packet.size == 0:
            sent.why = _NO_PICTURE
        elif self._reader is not None:
            try:
                sent.order = self._reader.read(bytes(packet), sent.number)
                sent.has_picture = sent.order is not None
            except ValueError as error:
                sent.why = Uninspected(Code.STREAM_DAMAGED, f"damaged: {error}")
        elif self._is_vp8:
            sent.has_picture = bool(bytes(packet)[0] & 0x10)  # show_frame, RFC 6386 section 9.1
        if sent.ticks is not None and sent.has_picture:
            self._timeline.add(sent.ticks)
        return sent

    def _new(self, ticks: int | None) -> _Sent:
        sent = _Sent(self.packets, ticks)
        self.packets += 1
        return sent

    def _empty_chunks(self, packet: "Packet[VideoStream]") -> Iterator[_Sent]:
        """AVI counts packets instead of time; a number that is left out stands for a frame that its writer lost."""
        if self._has_display_times:
            return
        ticks = packet.dts
        if ticks is not None and self._last_chunk is not None and ticks - self._last_chunk <= _MOST_EMPTY_CHUNKS:
            for number in range(self._last_chunk + 1, ticks):
                empty = self._new(number)
                empty.why = LOST
                yield empty
        self._last_chunk = ticks

    def _take(self, sent: _Sent, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame | Uninspected]:
        self._waiting[sent.number] = sent
        self._note_damage(sent)
        if self._reader is not None:
            yield from self._take_numbered(packet, sent)
        elif packet is not None and packet.size:
            yield from self._in_order(self._decode(packet, sent))
            if self._is_intra:
                yield from self._due(None)  # such a decoder holds nothing back

    def _note_damage(self, sent: _Sent) -> None:
        """Note what is missing before the packet, or wrong with it."""
        if sent.after_loss:
            self._evidence = True
            self._damage(sent.number - 0.5)
        if sent.why is not None:
            self._damage(sent.number)
        if sent.order is not None and sent.order.shows_losses:
            if sent.order.lost:
                self._damage(sent.number - 0.5)
        elif not self._is_intra and sent.ticks is not None:
            for hole in self._timeline.holes_around(sent.ticks, self._stamps_reach):
                if self._stamps_reach:
                    self._strike(sent, _BUILDS_ON_DAMAGE)
                elif sent.ticks < hole or hole not in self._holes:
                    self._damage(sent.number - 0.5)
                if sent.ticks >= hole:
                    self._holes.append(hole)

    def _take_numbered(
        self, packet: "Packet[VideoStream] | None", sent: _Sent
    ) -> Iterator[VideoFrame | Uninspected]:
        """H.264 and H.265: their numbers tell where sound frames begin again; up to there nothing is decoded.

        A decoder that lacks references shows frames in any order, or none, and refuses sound ones later on.
        """
        if self._damages and self._gap is None:
            yield from self._break_off(sent)
        order = sent.order
        if self._gap is not None:
            if order is not None and order.begins and sent.why is None:
                self._stream.codec_context.flush_buffers()
                self._gap.origin = sent.number
            if order is None or order.clean_from is None or order.clean_from != self._gap.origin or sent.why:
                if self._gap.origin is not None and packet is not None and packet.size:
                    self._given_up.append(sent.number)
                    self._decode(packet, sent)  # frames that the one that is right builds on
                    if sent.why is not None:
                        self._gap.origin = None
                yield from self._give_up(sent)
                return
            yield from [LOST] * self._gap.end(sent.ticks if self._has_display_times else None)
            self._gap, self._shown, self._restart, self._damages = None, None, sent, []
        elif self._restart is not None and sent is not self._restart and self._leads(sent, self._restart):
            # Without a look ahead they are announced already, as missing before the key frame.
            if self._look_ahead or self._timeline.interval is None:
                yield from self._give_up(sent)
            else:
                del self._waiting[sent.number]
            return
        yield from self._in_order(self._decode(packet, sent))
        if self._damages and self._gap is None:
            yield from self._break_off(None)

    def _leads(self, sent: _Sent, restart: _Sent) -> bool:
        """Leading frames travel behind a key frame, are shown before it, and build on what is lost before it."""
        return sent.has_picture and self._precedes(sent, restart, is_anchor=False)

    def _break_off(self, sent: _Sent | None) -> Iterator[VideoFrame | Uninspected]:
        """Hand over what was sound, and give up what was not; `sent` comes behind the damage."""
        held = None if sent is None else self._waiting.pop(sent.number)
        self._gap = Gap(self._timeline, self._last_ticks if self._has_display_times else None)
        yield from self._sound_rest(self._decode(None, None))
        self._stream.codec_context.flush_buffers()
        for broken in sorted(self._waiting.values(), key=self._display_key):
            yield from self._give_up(broken)
        if held is not None:
            self._waiting[held.number] = held
            if held.order is not None and self._has_display_times and not self._times_tell:
                yield from [LOST] * held.order.lost

    def _sound_rest(self, frames: list[VideoFrame]) -> Iterator[VideoFrame | Uninspected]:
        """Frames that the decoder held when damage came: those up to the first gap have their place."""
        for frame in frames:
            sent = self._waiting.get(frame.opaque) if isinstance(frame.opaque, int) else None
            if sent is None:
                continue
            last = self._shown
            follows = last is None or not (
                self._missing_by_time(last, sent)
                or self._missing_by_number(last, sent)
                or any(self._precedes(other, sent, is_anchor=False) for other in self._waiting.values())
            )
            found = self._judge(frame, sent)
            if not follows or isinstance(found, Uninspected):
                return
            del self._waiting[sent.number]
            self._shown = sent
            self._note_time(sent.ticks)
            if self._gap is not None:
                self._gap.add(sent.ticks if self._has_display_times else None)
            yield found

    def _give_up(self, sent: _Sent) -> Iterator[Uninspected]:
        """A fault in the place of a frame that is damaged or builds on damage."""
        del self._waiting[sent.number]
        self._given_up.append(sent.number)
        if not sent.has_picture and sent.why is None:
            return
        self._note_time(sent.ticks)
        if self._gap is not None:
            yield from [LOST] * self._gap.add(sent.ticks if self._has_display_times else None)
        yield sent.why or _BUILDS_ON_DAMAGE

    def _damage(self, at: float) -> None:
        self._any_damage = True
        if not self._is_intra:
            self._damages.append(at)

    def _strike(self, sent: _Sent, why: Uninspected) -> None:
        sent.why = sent.why or why
        self._damage(sent.number)

    def _decode(self, packet: "Packet[VideoStream] | None", sent: _Sent | None) -> list[VideoFrame]:
        said: list[str] = []
        frames: list[VideoFrame] = []
        failure = None
        try:
            with ffmpeg_log.listen() as said:
                frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            failure = error.strerror
        if sent is None or self._only_forgets(said):  # at a flush there is no packet
            return frames
        if failure is not None:
            self._strike(sent, Uninspected(Code.UNREADABLE, f"cannot be decoded: {failure}"))
        elif said:
            self._strike(sent, Uninspected(Code.STREAM_DAMAGED, f"damaged: {said[0]}"))
        return frames

    def _only_forgets(self, said: list[str]) -> bool:
        """After a fresh start, H.264 frames tell the decoder to forget frames that it never had: no damage."""
        return self._restart is not None and bool(said) and all(_FORGETS in line for line in said)

    def _in_order(self, frames: list[VideoFrame]) -> Iterator[VideoFrame | Uninspected]:
        for frame in frames:
            sent = self._waiting.pop(frame.opaque, None) if isinstance(frame.opaque, int) else None
            if sent is None:
                if frame.opaque not in self._given_up:  # a second frame of one packet
                    yield _BUILDS_ON_DAMAGE if self._damages else frame
                continue
            yield from self._due(sent, is_anchor=frame.pict_type != PictureType.B)
            yield from self._missing_before(sent)
            yield self._judge(frame, sent)

    def _judge(self, frame: VideoFrame, sent: _Sent) -> VideoFrame | Uninspected:
        if self._reader is None and frame.key_frame:
            self._damages = [at for at in self._damages if at >= sent.number]
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
            self._given_up.append(sent.number)
            is_lost = sent.why is not None or (
                sent.has_picture
                and (self._any_damage or self._damages or sent.order is not None or self._is_intra)
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
        last = self._shown
        if not (last and self._has_display_times and last.ticks and sent.ticks and sent.ticks < last.ticks):
            self._shown = sent
        self._note_time(sent.ticks)
        if last is None:
            return
        by_time = self._missing_by_time(last, sent)
        by_number = self._missing_by_number(last, sent)
        if by_number is None:
            count = by_time if self._evidence or self._is_short(by_time) else 0
            if by_time and not count:
                log.warning("the video jumps in time: a pause, or frames were lost", seconds=round(self.end_s, 2))
        else:
            count = by_time if by_number and self._times_tell else by_number
        self._evidence = False
        for _ in range(count):
            yield LOST

    @property
    def _times_tell(self) -> bool:
        """Whether time stamps show what is missing. Some recorders count frames instead: no loss leaves a hole."""
        is_live = not self._look_ahead
        return self._timeline.interval is not None and (is_live or self._timeline.has_holes)

    def _note_time(self, ticks: int | None) -> None:
        if ticks is not None:
            self._first_ticks = ticks if self._first_ticks is None else min(self._first_ticks, ticks)
            self._last_ticks = ticks if self._last_ticks is None else max(self._last_ticks, ticks)

    def _is_short(self, frames: int) -> bool:
        return frames * (self._timeline.interval or 0.0) * self._tick_s <= _PAUSE_S

    def _missing_by_time(self, last: _Sent, sent: _Sent) -> int:
        if last.ticks is None or sent.ticks is None or not self._has_display_times:
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
