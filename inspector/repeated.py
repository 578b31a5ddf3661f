"""Log lines that repeat: the first, then one a minute with the count, so that a fault cannot fill the disk."""

import time
from collections.abc import Callable


class Repeated:
    """Counts one kind of event and says when to log it."""

    def __init__(self, every_s: float = 60.0, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock_s = every_s, clock_s
        self._next_s = float("-inf")
        self._unreported = 0

    def due(self) -> int | None:
        """Count one event: how many to report now (1 for the first, then those of a whole interval), else None."""
        self._unreported += 1
        now_s = self._clock_s()
        if now_s < self._next_s:
            return None
        self._next_s = now_s + self._every_s
        return self.rest()

    def rest(self) -> int:
        """Events that no line has reported; they count as reported from here on."""
        count, self._unreported = self._unreported, 0
        return count
