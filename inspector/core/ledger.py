"""The ledger: every announced frame gets exactly one verdict, in order, in time."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from inspector.values import Code, Uninspected

A = TypeVar("A")
R = TypeVar("R")

MAX_GAP: Final = 1_000
"""Longest gap of lost frames whose verdicts are given in order, before the frame that reveals it: about 20 ms
of work. The verdicts of a longer gap are given in pieces beside those of later frames: see `CameraLedger.lost`."""

MAX_LOST: Final = 1_000_000
"""Most frames of one gap that get a verdict each: nearly two hours at 156 frames/s. Of a longer gap, the older
frames are only counted, and the ledger does not balance: a frame id was corrupt, or decide was away for hours."""

LOST_ANNOUNCEMENT: Final = Uninspected(
    Code.ANNOUNCEMENT_LOST, "announcement lost: decide was not running, or refused it (see its log)"
)
DEADLINE_PASSED: Final = "no result within {:g} ms"


class _Entry(msgspec.Struct, Generic[A, R]):
    frame_id: int
    announcement: A | None
    deadline_ns: int
    result: R | None = None
    fault: Uninspected | None = None
    shown_by: A | None = None
    unfit: bool = False
    """Announced with its fault: no result counts."""


class Settled(msgspec.Struct, Generic[A, R], frozen=True):
    """A closed frame: it has a result, or a fault that says why not."""

    frame_id: int
    announcement: A | None
    """None when the announcement was lost."""
    result: R | None
    fault: Uninspected | None
    shown_by: A | None = None
    """For a lost announcement: that of the later frame which revealed the loss."""


@dataclass(slots=True)
class CameraLedger(Generic[A, R]):
    """One camera's open frames, oldest first. The caller passes in monotonic times, ns."""

    deadline_ns: int
    """Time allowed from capture to verdict."""
    expected: int = 0
    """The next frame id."""
    late: int = 0
    """Results that arrived after their frame's deadline."""
    skipped: int = 0
    """Frames of gaps longer than MAX_LOST, which get no verdict."""
    _open: deque[_Entry[A, R]] = field(default_factory=deque)
    _lost: deque[tuple[range, A]] = field(default_factory=deque)
    """Long gaps, each with the announcement that revealed it."""

    def __len__(self) -> int:
        """Captured frames that are not settled yet."""
        return len(self._open) + self._lost_frames()

    def announce(
        self,
        frame_id: int,
        announcement: A,
        captured_ns: int,
        fault: Uninspected | None = None,
        result: R | None = None,
    ) -> None:
        """Open this frame, and any frame before it that was never announced.

        `result` is a result that arrived before the announcement. Raises ValueError for a repeated frame id.
        """
        self._fill(frame_id, captured_ns, announcement)
        entry: _Entry[A, R] = _Entry(
            frame_id, announcement, captured_ns + self.deadline_ns, result, fault, unfit=fault is not None
        )
        self._open.append(entry)
        self.expected = frame_id + 1

    def end(self, captured: int, now_ns: int, shown_by: A) -> None:
        """Open the missing frames below `captured`; the camera captures no more.

        `shown_by` stands for the next frame. Raises ValueError when more frames than that were announced.
        """
        self._fill(captured, now_ns, shown_by)

    def result(self, frame_id: int, result: R) -> bool:
        """Store a result; False when its frame is not announced yet.

        A result that arrives after its frame's verdict counts as late and changes nothing.
        """
        entry = self._find(frame_id)
        if entry is not None:
            if entry.result is None:
                entry.result = result
            return True
        if frame_id >= self.expected:
            return False
        self.late += 1
        return True

    def fault(self, frame_id: int, reason: Uninspected) -> None:
        """Mark an open frame as one that will get no result."""
        entry = self._find(frame_id)
        if entry is not None and entry.fault is None:
            entry.fault = reason

    def settle(self, now_ns: int) -> Settled[A, R] | None:
        """Close and return the oldest frame when it has a result, a fault or no time left; else None."""
        if not self._open:
            return None
        entry = self._open[0]
        if entry.result is None and entry.fault is None and now_ns < entry.deadline_ns:
            return None
        return self._close(self._open.popleft(), now_ns)

    def lost(self, most: int) -> list[Settled[A, R]]:
        """Close at most `most` frames of long gaps, oldest first."""
        settled: list[Settled[A, R]] = []
        while self._lost and len(settled) < most:
            gap, shown_by = self._lost.popleft()
            count = min(len(gap), most - len(settled))
            settled += [Settled(frame_id, None, None, LOST_ANNOUNCEMENT, shown_by) for frame_id in gap[:count]]
            if count < len(gap):
                self._lost.appendleft((gap[count:], shown_by))
        return settled

    def _lost_frames(self) -> int:
        return sum(len(gap) for gap, _ in self._lost)

    def resume_lost(self, ranges: list[tuple[int, int]], shown_by: A) -> None:
        """Settle gaps that an earlier ledger left; `shown_by` stands for the frame after them."""
        self._lost.extend((range(*each), shown_by) for each in ranges)

    def close(self, reason: Uninspected, now_ns: int) -> list[Settled[A, R]]:
        """Close all open frames; one with neither a result nor a fault gets `reason`."""
        for entry in self._open:
            entry.fault = entry.fault or reason
        settled = self.lost(self._lost_frames())
        settled += [self._close(entry, now_ns) for entry in self._open]
        self._open.clear()
        return settled

    def next_deadline_ns(self) -> int | None:
        """The deadline of the oldest frame, by which `settle` must be called; None when no frame is open."""
        return self._open[0].deadline_ns if self._open else None

    def _close(self, entry: _Entry[A, R], now_ns: int) -> Settled[A, R]:
        result = None if entry.unfit else entry.result
        if result is not None and now_ns >= entry.deadline_ns:
            # After decide was away, announcement and result arrive together but too late: the steel has passed.
            self.late += 1
            result = None
        fault = None if result is not None else entry.fault or self._overdue()
        return Settled(entry.frame_id, entry.announcement, result, fault, entry.shown_by)

    def _overdue(self) -> Uninspected:
        return Uninspected(Code.OVERDUE, DEADLINE_PASSED.format(self.deadline_ns / 1e6))

    def _find(self, frame_id: int) -> _Entry[A, R] | None:
        if not self._open:
            return None
        # Ids are contiguous before and after a long gap, so one of the two ends gives a frame's index.
        for index in (frame_id - self._open[0].frame_id, len(self._open) - (self.expected - frame_id)):
            if 0 <= index < len(self._open) and self._open[index].frame_id == frame_id:
                return self._open[index]
        return None

    def _fill(self, frame_id: int, captured_ns: int, shown_by: A) -> None:
        missed = frame_id - self.expected
        if missed < 0:
            raise ValueError(f"frame {frame_id} was announced before (next is {self.expected})")
        gap = range(max(self.expected, frame_id - MAX_LOST), frame_id)
        if missed > MAX_GAP:
            self.skipped += missed - len(gap)
            self._lost.append((gap, shown_by))
            gap = gap[:0]
        for missing in gap:
            entry: _Entry[A, R] = _Entry(missing, None, captured_ns, fault=LOST_ANNOUNCEMENT, shown_by=shown_by)
            self._open.append(entry)
        self.expected = frame_id
