"""Limits how often a repeated message is logged: the first time, then once per interval with the count."""

import time
from collections.abc import Callable


class Repeated:
    """Counts how often one thing happens and decides when to report it. Not thread-safe.

    `due` is called at each occurrence, `rest` once at the end, so that every occurrence is reported exactly once:

        if (count := self._refused.due()) is not None:
            log.warning("message refused", count=count)
    """

    def __init__(self, every_s: float = 60.0, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock_s = every_s, clock_s
        self._reported_s: float | None = None
        self._count = 0

    def due(self) -> int | None:
        """Count one occurrence. Returns how many to report now; None when it is too early to report again."""
        self._count += 1
        now_s = self._clock_s()
        if self._reported_s is not None and now_s - self._reported_s < self._every_s:
            return None
        self._reported_s = now_s
        return self.rest()

    def rest(self) -> int:
        """How many occurrences are not reported yet; they count as reported from now on."""
        count, self._count = self._count, 0
        return count
