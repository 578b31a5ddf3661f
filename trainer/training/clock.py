"""The time that a run has trained, across its resumes."""

import time
from typing import Final

SECONDS_A_MINUTE: Final = 60.0


class Clock:
    """Runs from the moment it is made, or started again."""

    def __init__(self) -> None:
        self.start()

    def start(self, before_s: float = 0.0) -> None:
        """Go on from `before_s`."""
        self._before_s = before_s
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """So far, the time before a resume included."""
        return self._before_s + time.monotonic() - self._started_s

    @property
    def minutes(self) -> float:
        """The same in minutes."""
        return self.elapsed_s / SECONDS_A_MINUTE
