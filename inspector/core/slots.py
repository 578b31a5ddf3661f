"""Which slots of the shared memory hold frames that a worker may still look at."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slots:
    """Times are monotonic ns handed in by the caller."""

    count: int
    _free: list[int] = field(init=False)
    _held: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Frame id → slot, and when the frame's deadline passes; ids rise, so the oldest is first."""

    def __post_init__(self) -> None:
        self._free = list(range(self.count))

    @property
    def free(self) -> int:
        """How many may be taken."""
        return len(self._free)

    def take(self, frame_id: int, until_ns: int) -> int:
        """A slot for this frame: the one let go last, which caches still know. Raises IndexError without one."""
        slot = self._free.pop()
        self._held[frame_id] = (slot, until_ns)
        return slot

    def release(self, frame_ids: Iterable[int]) -> None:
        """A worker is done with these; ids that are not held, or not any more, change nothing."""
        for frame_id in frame_ids:
            held = self._held.pop(frame_id, None)
            if held is not None:
                self._free.append(held[0])

    def expire(self, now_ns: int) -> None:
        """Take back what a dead or stuck worker holds, once its frames' time is up."""
        while self._held:
            frame_id, (slot, until_ns) = next(iter(self._held.items()))
            if now_ns < until_ns:
                return
            del self._held[frame_id]
            self._free.append(slot)
