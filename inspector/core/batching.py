"""Closes a batch by its size or by the age of its oldest frame."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Batcher(Generic[Item]):
    """Gathers frames into batches. The caller passes in monotonic times, ns."""

    max_frames: int
    max_wait_ns: int
    _waiting: deque[tuple[int, Item]] = field(default_factory=deque)

    def __len__(self) -> int:
        """Queued frames."""
        return len(self._waiting)

    def add(self, item: Item, now_ns: int) -> None:
        """Queue a frame."""
        self._waiting.append((now_ns, item))

    def due_ns(self) -> int | None:
        """When the next batch is due: at once when full, else when its oldest has waited long enough; None if
        empty."""
        if not self._waiting:
            return None
        arrived = self._waiting[0][0]
        return arrived if len(self._waiting) >= self.max_frames else arrived + self.max_wait_ns

    def take(self, now_ns: int, *, flush: bool = False) -> list[Item]:
        """The next batch, or an empty list when none is due; `flush` ignores the waiting time."""
        due = self.due_ns()
        if due is None or (now_ns < due and not flush):
            return []
        count = min(self.max_frames, len(self._waiting))
        return [self._waiting.popleft()[1] for _ in range(count)]
