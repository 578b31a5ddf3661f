"""The ledger: every announced frame gets exactly one verdict, in order, in time."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from inspector.values import Code, Uninspected

A = TypeVar("A")
R = TypeVar("R")

MAX_GAP: Final = 100_000
"""Frames that one announcement may show to be lost: minutes of a fast line; more is a broken frame id."""

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


class Settled(msgspec.Struct, Generic[A, R], frozen=True):
    """A frame whose account is closed: it has a result, or a fault that says why not."""

    frame_id: int
    announcement: A | None
    """None where the announcement itself was lost."""
    result: R | None
    fault: Uninspected | None


@dataclass(slots=True)
class CameraLedger(Generic[A, R]):
    """One camera's open frames, oldest first. Times are monotonic ns handed in by the caller."""

    deadline_ns: int
    """Time from capture to verdict."""
    expected: int = 0
    """The frame id that comes next."""
    late: int = 0
    """Results that came after their frame's deadline."""
    unknown: int = 0
    """Results that could not be kept until their announcement came."""
    _open: deque[_Entry[A, R]] = field(default_factory=deque)
    _early: dict[int, R] = field(default_factory=dict)

    def __len__(self) -> int:
        """Frames announced and not yet settled."""
        return len(self._open)

    def announce(self, frame_id: int, announcement: A, captured_ns: int, fault: Uninspected | None = None) -> None:
        """Owe a verdict for this frame, and for any before it that was never announced.

        Raises ValueError for a frame id that repeats, or that lies implausibly far ahead.
        """
        self._fill(frame_id, captured_ns)
        entry: _Entry[A, R] = _Entry(frame_id, announcement, captured_ns + self.deadline_ns, fault=fault)
        entry.result = self._early.pop(frame_id, None)
        self._open.append(entry)
        self.expected = frame_id + 1

    def end(self, captured: int, now_ns: int) -> None:
        """The camera has captured so many frames and no more; the missing ones are owed too."""
        self._fill(captured, now_ns)

    def result(self, frame_id: int, result: R) -> None:
        """Take a result; one that comes after its frame's verdict is counted and changes nothing."""
        entry = self._find(frame_id)
        if entry is not None:
            if entry.result is None:
                entry.result = result
        elif frame_id >= self.expected and len(self._early) < MAX_GAP:
            # Announcement and pixels travel on different links; the result may win the race.
            self._early[frame_id] = result
        elif frame_id < self.expected:
            self.late += 1
        else:
            self.unknown += 1

    def fault(self, frame_id: int, reason: Uninspected) -> None:
        """An announced frame will have no result."""
        entry = self._find(frame_id)
        if entry is not None and entry.fault is None:
            entry.fault = reason

    def settle(self, now_ns: int) -> list[Settled[A, R]]:
        """The oldest frames that have a result, a fault, or no time left, in order."""
        settled: list[Settled[A, R]] = []
        while self._open:
            entry = self._open[0]
            if entry.result is None and entry.fault is None and now_ns < entry.deadline_ns:
                break
            settled.append(self._close(self._open.popleft(), now_ns))
        return settled

    def close(self, reason: Uninspected, now_ns: int) -> list[Settled[A, R]]:
        """Settle everything that is open; what has neither a result nor a fault gets `reason`."""
        for entry in self._open:
            entry.fault = entry.fault or reason
        settled = [self._close(entry, now_ns) for entry in self._open]
        self._open.clear()
        return settled

    def next_deadline_ns(self) -> int | None:
        """When `settle` must be called next even if nothing happens."""
        return self._open[0].deadline_ns if self._open else None

    def _close(self, entry: _Entry[A, R], now_ns: int) -> Settled[A, R]:
        result = entry.result
        if result is not None and now_ns >= entry.deadline_ns:
            # After decide was away, announcement and result come together and too late: the steel has gone by.
            self.late += 1
            result = None
        fault = None if result is not None else entry.fault or self._overdue()
        return Settled(entry.frame_id, entry.announcement, result, fault)

    def _overdue(self) -> Uninspected:
        return Uninspected(Code.OVERDUE, DEADLINE_PASSED.format(self.deadline_ns / 1e6))

    def _find(self, frame_id: int) -> _Entry[A, R] | None:
        if not self._open:
            return None
        # Ids are contiguous in the deque, so a frame's place is known.
        index = frame_id - self._open[0].frame_id
        return self._open[index] if 0 <= index < len(self._open) else None

    def _fill(self, frame_id: int, captured_ns: int) -> None:
        gap = frame_id - self.expected
        if gap < 0:
            raise ValueError(f"frame {frame_id} was announced before (next is {self.expected})")
        if gap > MAX_GAP:
            raise ValueError(f"frame {frame_id} is {gap} frames ahead of {self.expected}")
        for missing in range(self.expected, frame_id):
            entry: _Entry[A, R] = _Entry(missing, None, captured_ns, fault=LOST_ANNOUNCEMENT)
            self._open.append(entry)
        self.expected = frame_id
