"""Tracks the slots of the shared memory whose frames a worker may still read."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slots:
    """Free and lent slots. The caller passes in monotonic times, ns."""

    count: int
    _free: list[int] = field(init=False)
    """A heap."""
    _held: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Frame id → slot and end of the loan; ids rise, so the oldest is first."""

    def __post_init__(self) -> None:
        self._free = list(range(self.count))

    @property
    def free(self) -> int:
        """Number of free slots."""
        return len(self._free)

    def take(self, frame_id: int, until_ns: int) -> int:
        """Take the lowest free slot for this frame. Raises IndexError when none is free.

        So frames that are sent together mostly lie side by side, and the worker need not copy them into a batch.
        """
        slot = heapq.heappop(self._free)
        self._held[frame_id] = (slot, until_ns)
        return slot

    def release(self, frame_ids: Iterable[int]) -> None:
        """Free the slots of these frames; ids that hold no slot are ignored."""
        for frame_id in frame_ids:
            held = self._held.pop(frame_id, None)
            if held is not None:
                heapq.heappush(self._free, held[0])

    def expire(self, now_ns: int) -> None:
        """Free the slots that a dead or stuck worker still holds, once their frames' time is up."""
        while self._held:
            frame_id, (slot, until_ns) = next(iter(self._held.items()))
            if now_ns < until_ns:
                return
            del self._held[frame_id]
            heapq.heappush(self._free, slot)
