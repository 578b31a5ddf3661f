"""Decodes a video stream and reports all damage: every packet becomes a frame or a fault."""

import math
from collections import deque
from collections.abc import Iterator
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from inspector.sources.video import ffmpeg_log
from inspector.sources.video.losses import Losses
from inspector.sources.video.packets import LOOK_AHEAD, LOST, PacketReader, Sent
from inspector.sources.video.picture_order import Order
from inspector.sources.video.timeline import Gap, Timeline
from inspector.values import Code, Uninspected

_BUILDS_ON_DAMAGE: Final = Uninspected(
    Code.STREAM_DAMAGED, "builds on lost or damaged data before it, up to the next key frame"
)
_MARKED: Final = Uninspected(Code.STREAM_DAMAGED, "damaged: the decoder repaired it")
_NO_OUTPUT: Final = Uninspected(Code.STREAM_DAMAGED, "lost to damage next to it: the decoder gave no frame")

_INTRA_CODECS: Final = frozenset(
    {"png", "huffyuv", "ffvhuff", "utvideo", "prores", "dnxhd", "jpeg2000", "magicyuv"}
)
"""Intra-only codecs that FFmpeg does not mark as such. FFV1 is not one: its frames share statistics up to the next
key frame."""

_FORGETS: Final = "mmco: unref short failure"


class Decoder:
    """Decodes one stream and tracks which packet became which frame.

    After a lost or damaged packet every inter-coded frame is a guess, up to the next key frame. The decoder may
    not report it.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, live: bool = False) -> None:
        self._stream = stream
        codec = stream.codec_context
        self._is_intra = codec.codec.intra_only or codec.name in _INTRA_CODECS
        self._live = live
        # MPEG program streams carry time stamps for some frames only; the others are counted from those.
        self._stamps_reach = LOOK_AHEAD if container.format.name == "mpeg" else 0
        self._tick_s = float(stream.time_base or 1)
        self._timeline = Timeline(self._tick_s, counts_frames="avi" in container.format.name)
        self.packets = PacketReader(container, stream, self._timeline, 0 if live else LOOK_AHEAD)
        self._has_display_times = self.packets.has_display_times
        self._losses = Losses(self._timeline, self._tick_s, has_display_times=self._has_display_times, live=live)
        self._waiting: dict[int, Sent] = {}
        """Packets sent to the decoder whose frames have not come out, by packet number."""
        self._given_up: deque[int] = deque(maxlen=LOOK_AHEAD)
        """Packets already reported as faults. A decoder without a reference may still output their frames, too
        late."""
        self._gap: Gap | None = Gap(self._timeline, None) if self.packets.is_numbered else None
        """H.264 and H.265: set while no frame is sound, as before the first key frame."""
        self._restart: Sent | None = None
        """The packet at which decoding restarted after damage."""
        self._damages: list[float] = [] if self._is_intra else [-0.5]
        """Numbers of damaged packets; a loss between two packets has the number halfway. Everything before the
        first packet counts as lost."""
        self._any_damage = False
        self._is_after_loss = False
        """Whether the demuxer has reported a loss since the last shown frame."""
        self._marks_keys = False
        """Whether the decoder has marked a key frame."""
        self._last_loss = -1, 0
        """The packet before which frames were last found missing, and how many."""
        self._holes: deque[int] = deque(maxlen=LOOK_AHEAD)
        """Holes in the time stamps whose damage is already noted."""
        self._last_ticks: int | None = None

    @property
    def lost_at_end(self) -> int:
        """Missing frames among the last packets.

        In a truncated file, some of them may only have been due later.
        """
        number, count = self._last_loss
        return count if number >= self.packets.count - self._timeline.depth - 1 else 0

    def frames(self) -> Iterator[VideoFrame | Uninspected]:
        """Yield frames, or faults in their place, in display order."""
        for sent, packet in self.packets:
            yield from self._take(sent, packet)
        yield from self._in_order(self._decode(None, None))
        yield from self._due(None)

    def _take(self, sent: Sent, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame | Uninspected]:
        self._waiting[sent.number] = sent
        self._note_damage(sent)
        if self.packets.is_numbered:
            yield from self._take_numbered(packet, sent)
        elif packet is not None and packet.size:
            yield from self._in_order(self._decode(packet, sent))
            if self._is_intra:
                yield from self._due(None)  # an intra-only decoder delays nothing

    def _note_damage(self, sent: Sent) -> None:
        """Note damage to the packet and losses before it."""
        if sent.after_loss:
            self._is_after_loss = True
            self._damage(sent.number - 0.5)
        if sent.why is not None:
            self._damage(sent.number)
        if sent.order is not None and sent.order.shows_losses:
            if sent.order.lost:
                self._damage(sent.number - 0.5)
            elif sent.ticks is not None and self._is_unsure(sent.ticks, sent.order):
                if not self._live and not self._is_near_damage(sent):
                    self._timeline.add_pause(sent.ticks)
                self._damage(sent.number - 0.5)
        elif not self._is_intra and sent.ticks is not None:
            self._note_holes(sent, sent.ticks)

    def _note_holes(self, sent: Sent, ticks: int) -> None:
        """Note holes in the time stamps around a packet whose frame may build on others.

        Where they may be a pause, no frame is missing, but what follows may still be a guess.
        """
        is_loss = self._holes_are_losses(sent)
        if not is_loss and not self._timeline.knows(ticks):
            return
        for hole in self._timeline.holes_around(ticks, self._stamps_reach):
            if is_loss and self._stamps_reach:
                self._strike(sent, _BUILDS_ON_DAMAGE)
            elif ticks < hole or hole not in self._holes:
                if is_loss:
                    self._damage(sent.number - 0.5)
                else:
                    self._damages.append(sent.number - 0.5)
            if ticks >= hole:
                self._holes.append(hole)

    def _holes_are_losses(self, sent: Sent) -> bool:
        """Return whether a hole in the time stamps around the packet is damage: in a file it may be a pause.

        An AVI's time stamps are the numbers of its frames.
        """
        return self._live or not self._has_display_times or self._is_near_damage(sent)

    def _is_near_damage(self, sent: Sent) -> bool:
        """Return whether damage is known near the packet: as near as frames are reordered.

        The MPEG-TS demuxer may report it one packet early.
        """
        reach = 2 * self._timeline.depth + 2
        return any(abs(sent.number - damaged) <= reach for damaged in self.packets.damaged)

    def _is_unsure(self, ticks: int, order: Order) -> bool:
        """Return whether the time stamps jump by a number of frames that the picture numbers cannot show.

        Frames that build on those before the jump are then not inspected, even where the camera may have paused.
        """
        if order.begins or not self._has_display_times:
            return False
        before = self._timeline.before(ticks)
        missing = 0 if before is None else self._timeline.missing(before, ticks)
        return missing > 0 and missing % order.modulus == 0

    def _take_numbered(
        self, packet: "Packet[VideoStream] | None", sent: Sent
    ) -> Iterator[VideoFrame | Uninspected]:
        """Decode H.264 and H.265, whose picture numbers show where sound frames begin again.

        Packets before that become faults. A decoder that lacks references outputs frames in any order or not at
        all, and later rejects sound frames.
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
                    self._decode(packet, sent)  # the first sound frame builds on these frames
                    if sent.why is not None:
                        self._gap.origin = None
                yield from self._give_up(sent)
                return
            yield from [LOST] * self._gap.end(sent.ticks if self._has_display_times else None)
            self._gap, self._losses.shown, self._restart, self._damages = None, None, sent, []
        elif self._restart is not None and sent is not self._restart and self._leads(sent, self._restart):
            # Without look-ahead they were already reported as missing before the key frame.
            if not self._live or self._timeline.interval is None:
                yield from self._give_up(sent)
            else:
                del self._waiting[sent.number]
            return
        yield from self._in_order(self._decode(packet, sent))
        if self._damages and self._gap is None:
            yield from self._break_off(None)

    def _leads(self, sent: Sent, restart: Sent) -> bool:
        """Return whether it is a leading frame.

        It follows a key frame, is shown before it, and builds on frames before it.
        """
        return sent.has_picture and self._precedes(sent, restart, is_anchor=False)

    def _break_off(self, sent: Sent | None) -> Iterator[VideoFrame | Uninspected]:
        """Yield the sound frames still in the decoder, then give up the rest; `sent` follows the damage."""
        held = None if sent is None else self._waiting.pop(sent.number)
        self._gap = Gap(self._timeline, self._last_ticks if self._has_display_times else None)
        yield from self._sound_rest(self._decode(None, None))
        self._stream.codec_context.flush_buffers()
        for broken in sorted(self._waiting.values(), key=self._display_key):
            yield from self._give_up(broken)
        if held is not None:
            self._waiting[held.number] = held
            if held.order is not None and self._has_display_times and not self._losses.times_tell:
                yield from [LOST] * held.order.lost

    def _sound_rest(self, frames: list[VideoFrame]) -> Iterator[VideoFrame | Uninspected]:
        """Yield the frames that the decoder held when damage came, up to the first gap; their place is known."""
        for frame in frames:
            sent = self._waiting.get(frame.opaque) if isinstance(frame.opaque, int) else None
            if sent is None:
                continue
            follows = self._losses.follows(sent) and not any(
                self._precedes(other, sent, is_anchor=False) for other in self._waiting.values()
            )
            found = self._judge(frame, sent)
            if not follows or isinstance(found, Uninspected):
                return
            del self._waiting[sent.number]
            self._losses.shown = sent
            self._note_time(sent.ticks)
            if self._gap is not None:
                self._gap.add(sent.ticks if self._has_display_times else None)
            yield found

    def _give_up(self, sent: Sent) -> Iterator[Uninspected]:
        """Yield a fault for a frame that is damaged or builds on damage."""
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
        self.packets.damaged.append(math.ceil(at))
        if not self._is_intra:
            self._damages.append(at)

    def _strike(self, sent: Sent, why: Uninspected) -> None:
        sent.why = sent.why or why
        self._damage(sent.number)

    def _decode(self, packet: "Packet[VideoStream] | None", sent: Sent | None) -> list[VideoFrame]:
        said: list[str] = []
        frames: list[VideoFrame] = []
        failure = None
        try:
            with ffmpeg_log.listen() as said:
                frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            failure = error.strerror
        if sent is None or self._only_forgets(said):  # a flush has no packet
            return frames
        if failure is not None:
            self._strike(sent, Uninspected(Code.UNREADABLE, f"cannot be decoded: {failure}"))
        elif said:
            self._strike(sent, Uninspected(Code.STREAM_DAMAGED, f"damaged: {said[0]}"))
        return frames

    def _only_forgets(self, said: list[str]) -> bool:
        """Return whether the log is harmless.

        After a restart, H.264 frames tell the decoder to drop frames it never had.
        """
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

    def _judge(self, frame: VideoFrame, sent: Sent) -> VideoFrame | Uninspected:
        if not self.packets.is_numbered and self._is_key(frame, sent):
            self._damages = [at for at in self._damages if at >= sent.number]
        if sent.why is not None:
            return sent.why
        if frame.is_corrupt:
            self._damage(sent.number)
            return _MARKED
        return _BUILDS_ON_DAMAGE if any(at <= sent.number for at in self._damages) else frame

    def _is_key(self, frame: VideoFrame, sent: Sent) -> bool:
        """Return whether the frame builds on no other one.

        Some decoders mark no key frame, such as QuickTime Animation's. Then the container tells.
        """
        self._marks_keys = self._marks_keys or frame.key_frame
        return frame.key_frame or (
            sent.is_key and not self._marks_keys and frame.pict_type in {PictureType.NONE, PictureType.I}
        )

    def _due(self, shown: Sent | None, *, is_anchor: bool = True) -> Iterator[Uninspected]:
        """Yield faults for packets due before `shown` (None: due by now) whose frames never came out.

        Without damage, a packet without a frame is normal in VP9 and packed MPEG-4 and is no loss. In H.264 and
        H.265 it always is one.
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

    def _display_key(self, sent: Sent) -> tuple[int, int]:
        if self._has_display_times and sent.ticks is not None:
            return sent.ticks, sent.number
        return sent.number, 0

    def _precedes(self, sent: Sent, shown: Sent, *, is_anchor: bool) -> bool:
        """Return whether `sent` is shown before `shown`, whose frame has just come out."""
        a, b = sent.order, shown.order
        if a is not None and b is not None and a.shown is not None and b.shown is not None:
            return (a.sequence, a.shown) < (b.sequence, b.shown)
        if self._has_display_times and sent.ticks is not None and shown.ticks is not None:
            return sent.ticks < shown.ticks
        return is_anchor and sent.number < shown.number  # B-frames are shown before anchors sent earlier

    def _missing_before(self, sent: Sent) -> Iterator[Uninspected]:
        """Yield faults for the frames missing between the last shown frame and this one."""
        self._note_time(sent.ticks)
        is_damaged = self._is_after_loss if self._live else self._is_near_damage(sent)
        count = self._losses.before(sent, is_damaged=is_damaged)
        self._is_after_loss = False
        if count:
            self._last_loss = sent.number, count
        yield from [LOST] * count

    def _note_time(self, ticks: int | None) -> None:
        if ticks is not None:
            self._last_ticks = ticks if self._last_ticks is None else max(self._last_ticks, ticks)
