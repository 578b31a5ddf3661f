"""One camera's account: what its ingests have announced, what is owed, and when they were last heard."""

import math
from dataclasses import dataclass, field
from typing import Final

from inspector.core.ledger import MAX_LOST, CameraLedger
from inspector.core.verdicts import VerdictMaker
from inspector.values import Announcement, Inspection, Uninspected
from inspector.wire.messages import Begin, End, Fault, News

SILENT_NS: Final = 1_000_000_000
"""A camera whose ingest says nothing for so long is silent: an ingest at work would have said so five times."""

MAX_EARLY: Final = 2_048
"""Results that may wait for their announcements: what a full results link holds while decide starts."""

MAX_EARLY_PICTURES: Final = 64
"""Of these, results that bring maps and pixels: 26 MB of 256×1600 frames, and their maps."""

MAX_EPOCHS: Final = 16
"""Ingests before the current one whose frames are told apart, the newest ones."""


@dataclass(slots=True)
class Camera:
    """Times are monotonic ns."""

    ledger: CameraLedger[Announcement, Inspection]
    """Of the current ingest."""
    maker: VerdictMaker
    ingest_epoch: int | None = None
    """The current ingest; None until one is heard."""
    next_frames: dict[int, int] = field(default_factory=dict)
    """Ingest epoch → the frame id that comes next, of ingests whose frames have verdicts already."""
    early: dict[tuple[int, int], Inspection] = field(default_factory=dict)
    """(ingest epoch, frame id) → a result whose frame is not announced yet."""
    total: int | None = None
    ended: bool = False
    heard_ns: int | None = None
    """When its ingest last said anything."""
    captured_before: int = 0
    """Frames captured by ingests before the current one, since this decide started."""
    first: int = 0
    """The frame id of the current ingest that this decide began with."""
    late_before: int = 0
    """Results of ingests before the current one."""
    last_verdict_ns: int | None = None

    @property
    def captured(self) -> int:
        """Frames captured since this decide started, announced or not."""
        return self.captured_before + self.ledger.expected - self.first

    @property
    def late(self) -> int:
        """Results that came after their frame's deadline, or after its ingest was replaced."""
        return self.late_before + self.ledger.late

    def replace_ingest(
        self, epoch: int, ledger: CameraLedger[Announcement, Inspection], maker: VerdictMaker
    ) -> None:
        """Count the frames of a newer ingest from here on; the ledger of the one before is closed."""
        if self.ingest_epoch is not None:
            self.next_frames[self.ingest_epoch] = self.ledger.expected
            while len(self.next_frames) > MAX_EPOCHS:
                del self.next_frames[min(self.next_frames)]
            self.captured_before, self.late_before = self.captured, self.late
        self.ledger, self.maker, self.ingest_epoch = ledger, maker, epoch
        ledger.expected = self.first = self.next_frames.pop(epoch, 0)
        self.total, self.ended = None, False
        stale = [key for key in self.early if key[0] < epoch]
        for key in stale:
            del self.early[key]
        self.late_before += len(stale)

    def hear(self, message: News, now_ns: int, fault: Uninspected | None = None) -> None:
        """Take what the current ingest says; `fault` is why an announced frame cannot be inspected.

        Raises ValueError for a frame id or a position that cannot be.
        """
        self.heard_ns = now_ns
        if isinstance(message, Announcement):
            check_position(message)
            early = self.early.pop((message.ingest_epoch, message.frame_id), None)
            self.ledger.announce(message.frame_id, message, message.clock_ns, message.fault or fault, early)
        elif isinstance(message, Fault):
            self.ledger.fault(message.frame_id, message.reason)
        elif isinstance(message, End):
            self.ledger.end(message.captured, now_ns, next_frame(message, now_ns))
            self.ended = True
        elif isinstance(message, Begin):
            self.total = message.total

    def straggle(self, message: Announcement | End) -> range:
        """The frames of a replaced ingest that `message` is the first to tell of; each of them is owed a verdict.

        Raises ValueError for a frame that has its verdict, or a position that cannot be.
        """
        epoch = message.ingest_epoch
        last = message.frame_id if isinstance(message, Announcement) else message.captured - 1
        # Frames of an ingest that left no trace: those before this one may have verdicts that are out of reach.
        start = self.next_frames.get(epoch, last)
        if isinstance(message, Announcement):
            check_position(message)
            if last < start:
                raise ValueError(f"frame {last} was announced before (next is {start})")
        stop = max(start, last + 1)
        start = max(start, stop - MAX_LOST)
        self.next_frames[epoch] = stop
        self.captured_before += stop - start
        return range(start, stop)

    def result(self, epoch: int, frame_id: int, inspection: Inspection) -> None:
        """Take a result of this camera's frame; one of a replaced ingest is late."""
        if self.ingest_epoch is not None and epoch < self.ingest_epoch:
            self.late_before += 1
            return
        if epoch == self.ingest_epoch and self.ledger.result(frame_id, inspection):
            return
        # Announcement and pixels travel on different links: the result may win the race.
        full = len(self.early) >= MAX_EARLY
        if not full and inspection.pixels is not None:
            full = sum(each.pixels is not None for each in self.early.values()) >= MAX_EARLY_PICTURES
        if full:
            # Its frame ends uninspected at its deadline.
            self.late_before += 1
        else:
            self.early[epoch, frame_id] = inspection

    def silent(self, now_ns: int) -> bool:
        """Its ingest has ended or says nothing: nobody looks at this side of the strip."""
        return self.ended or self.heard_ns is None or now_ns - self.heard_ns > SILENT_NS


def next_frame(end: End, now_ns: int) -> Announcement:
    """What an ingest that has ended would have announced next."""
    return Announcement(
        end.camera, end.ingest_epoch, end.captured, end.captured_ns, now_ns, end.position_mm, end.height
    )


def check_position(announcement: Announcement) -> None:
    """Raise ValueError for a position that JSON has no word for: nobody could read the verdict again."""
    if not math.isfinite(announcement.position_mm):
        raise ValueError(f"frame {announcement.frame_id} is at {announcement.position_mm} mm")
