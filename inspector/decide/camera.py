"""One camera's account in decide: announced frames, pending verdicts, early results."""

import math
from dataclasses import dataclass, field
from typing import Final

from inspector.core.ledger import MAX_LOST, CameraLedger
from inspector.core.pace import Pace
from inspector.core.verdicts import VerdictMaker
from inspector.values import Announcement, Inspection, Uninspected
from inspector.wire.messages import Begin, End, Fault, News, Readings

SILENT_NS: Final = 1_000_000_000
"""A camera is silent after this long without a message from its ingest. A working ingest sends at least five
messages in that time (`ingest.IDLE_MS`)."""

MAX_EARLY: Final = 2_048
"""Most results that wait for their announcements: as many as a full results link holds while decide starts."""

MAX_EARLY_PICTURES: Final = 64
"""Most waiting results that carry maps and pixels: 26 MB of 256×1600 frames, plus their maps."""

MAX_EPOCHS: Final = 16
"""How many previous ingests are remembered, the newest ones, to tell their late frames apart."""


MAX_FRAME_ID: Final = 2**53
"""A greater frame id is damaged: JSON readers and databases cannot hold all of them. A camera with a million
frames a second needs 285 years to get there."""

MAX_UNHEARD: Final = 4_096
"""Most frames of an ingest that decide never heard of which get verdicts, the newest ones: more than the link and
its buffers hold before ingest waits."""


@dataclass(slots=True)
class Camera:
    """One camera's ledger, verdict maker and counters. Times are monotonic ns."""

    ledger: CameraLedger[Announcement, Inspection]
    """Ledger of the current ingest."""
    maker: VerdictMaker
    pace: Pace | None = None
    """Compares the frame rate with the stated one; None for a source without a stated rate."""
    ingest_epoch: int | None = None
    """Epoch of the current ingest; None before its first message."""
    next_frames: dict[int, int] = field(default_factory=dict)
    """Ingest epoch → next frame id, for ingests whose earlier frames already have verdicts."""
    counted: dict[int, None] = field(default_factory=dict)
    """Epochs of ended ingests whose frames are all accounted for by their own count, newest last."""
    early: dict[tuple[int, int], Inspection] = field(default_factory=dict)
    """(ingest epoch, frame id) → result that arrived before its frame's announcement."""
    known_frames: int = 0
    """Frames that a resumed replay has verdicts of: seeing them again only shows which defects continue."""
    left_gaps: list[tuple[int, int, int]] = field(default_factory=list)
    """(ingest epoch, first frame id, one past the last) that an earlier decide left without a verdict."""
    total: int | None = None
    ended: bool = False
    heard_ns: int | None = None
    """When the last message from the current ingest arrived."""
    captured_before: int = 0
    """Frames captured by previous ingests since this decide started."""
    first: int = 0
    """Frame id of the current ingest from which this decide counts."""
    late_before: int = 0
    """Late results that `ledger` does not count: those of previous ingests, and those dropped because `early`
    was full."""
    last_verdict_ns: int | None = None
    readings: dict[str, float] = field(default_factory=dict)
    """The camera's newest measurements of itself; empty for a source without any."""

    @property
    def captured(self) -> int:
        """Frames captured since this decide started, including those whose announcement was lost."""
        return self.captured_before + self.ledger.expected - self.first

    @property
    def late(self) -> int:
        """Results that arrived after their frame's deadline or their ingest was replaced, or that were dropped."""
        return self.late_before + self.ledger.late

    def replace_ingest(
        self, epoch: int, ledger: CameraLedger[Announcement, Inspection], maker: VerdictMaker
    ) -> None:
        """Count the frames of a newer ingest from now on. The caller has closed the previous ledger."""
        if self.ingest_epoch is not None:
            self.next_frames[self.ingest_epoch] = self.ledger.expected
            while len(self.next_frames) > MAX_EPOCHS:
                del self.next_frames[min(self.next_frames)]
            self.captured_before, self.late_before = self.captured, self.late
        self.ledger, self.maker, self.ingest_epoch = ledger, maker, epoch
        ledger.expected = self.first = self.next_frames.pop(epoch, 0)
        self.total, self.ended = None, False
        if self.pace is not None:
            self.pace.restart()
        stale = [key for key in self.early if key[0] < epoch]
        for key in stale:
            del self.early[key]
        self.late_before += len(stale)

    def missed_ends(self, ends: list[End], before: int) -> list[End]:
        """Return the counts of a camera's ingests, up to epoch `before`, that this decide may not know."""
        # A later epoch in the log is from before a restart of the PC: the monotonic clock started again.
        logged = (epoch for epoch in self.next_frames if epoch < before)
        known = max(logged, default=0) if self.ingest_epoch is None else self.ingest_epoch
        return [end for end in ends if known <= end.ingest_epoch < before]

    def close_missed(self, end: End, now_ns: int) -> int:
        """Open the frames of the current ingest, which has ended, that were never announced; returns how many."""
        ledger = self.ledger
        known = ledger.expected or self.left_gaps
        if not known and end.captured > MAX_UNHEARD:
            ledger.expected = self.first = end.captured - MAX_UNHEARD
        missed = max(0, end.captured - ledger.expected)
        self.counted[end.ingest_epoch] = None
        if len(self.counted) > MAX_EPOCHS:
            del self.counted[next(iter(self.counted))]
        if self.left_gaps:
            self._resume_gaps(next_frame(end, now_ns))
        if missed:
            ledger.end(end.captured, now_ns, next_frame(end, now_ns))
        return missed

    def hear(self, message: News, now_ns: int, fault: Uninspected | None = None) -> None:
        """Apply a message from the current ingest; `fault` is why an announced frame cannot be inspected.

        Raises ValueError for an impossible frame id, time, position or height.
        """
        self.heard_ns = now_ns
        if isinstance(message, Announcement):
            check_announcement(message)
            if self.pace is not None:
                self.pace.frame(message.captured_monotonic_ns)
            early = self.early.pop((message.ingest_epoch, message.frame_id), None)
            # A time that is still to come must not hold back the verdicts of all later frames.
            captured_ns = min(message.captured_monotonic_ns, now_ns)
            self.ledger.announce(message.frame_id, message, captured_ns, message.fault or fault, early)
            if self.left_gaps:
                self._resume_gaps(message)
        elif isinstance(message, Fault):
            self.ledger.fault(message.frame_id, message.reason)
        elif isinstance(message, End):
            after = next_frame(message, now_ns)
            check_announcement(after)
            self.ledger.end(message.captured, now_ns, after)
            self.ended = True
        elif isinstance(message, Begin):
            self.total = message.total
        elif isinstance(message, Readings):
            self.readings = message.values

    def _resume_gaps(self, shown_by: Announcement) -> None:
        ranges = [(start, stop) for epoch, start, stop in self.left_gaps if epoch == self.ingest_epoch]
        self.left_gaps = []
        self.ledger.resume_lost(ranges, shown_by)
        self.first -= sum(stop - start for start, stop in ranges)

    def straggle(self, message: Announcement | End) -> range:
        """The frames of a replaced ingest that `message` is the first to report; each needs a verdict.

        Raises ValueError for a frame that already has a verdict, or for an impossible number.
        """
        epoch = message.ingest_epoch
        last = message.frame_id if isinstance(message, Announcement) else message.captured - 1
        # An unknown ingest: frames before this one may already have verdicts, so only this one counts.
        start = self.next_frames.get(epoch, last if isinstance(message, Announcement) else last + 1)
        if last < -1:
            raise ValueError(f"frame {last} is not a frame id")
        check_announcement(message if isinstance(message, Announcement) else next_frame(message, 0))
        if isinstance(message, Announcement) and (last < start or last < 0):
            raise ValueError(f"frame {last} was announced before (next is {start})")
        stop = max(start, last + 1)
        start = max(start, stop - MAX_LOST)
        self.next_frames[epoch] = stop
        self.captured_before += stop - start
        return range(start, stop)

    def result(self, epoch: int, frame_id: int, inspection: Inspection) -> None:
        """Store a result; a result from a replaced ingest counts as late."""
        if self.ingest_epoch is not None and epoch < self.ingest_epoch:
            self.late_before += 1
            return
        if epoch == self.ingest_epoch and self.ledger.result(frame_id, inspection):
            return
        # Announcements and pixels travel on different links, so a result can arrive first.
        full = len(self.early) >= MAX_EARLY
        if not full and inspection.pixels is not None:
            full = sum(each.pixels is not None for each in self.early.values()) >= MAX_EARLY_PICTURES
        if full:
            # Drop the result; its frame ends UNINSPECTED at its deadline.
            self.late_before += 1
        else:
            self.early[epoch, frame_id] = inspection

    def silent(self, now_ns: int) -> bool:
        """Whether its ingest has ended or sent nothing for SILENT_NS: nothing inspects its side of the strip."""
        return self.ended or self.heard_ns is None or now_ns - self.heard_ns > SILENT_NS


def next_frame(end: End, now_ns: int) -> Announcement:
    """The announcement that an ended ingest would have sent next."""
    return Announcement(
        end.camera, end.ingest_epoch, end.captured, end.captured_ns, now_ns, end.position_mm, end.height
    )


def check_announcement(announcement: Announcement) -> None:
    """Raise ValueError for a number that no frame has, or that a verdict in JSON or a database cannot hold."""
    frame = announcement.frame_id
    if frame > MAX_FRAME_ID:
        raise ValueError(f"frame {frame} is not a frame id")
    if not math.isfinite(announcement.position_mm):
        raise ValueError(f"frame {frame} is at {announcement.position_mm} mm")
    if announcement.height < 1 or not 0 <= announcement.captured_ns < 2**63:
        raise ValueError(f"frame {frame} of {announcement.height} rows, captured at {announcement.captured_ns} ns")
