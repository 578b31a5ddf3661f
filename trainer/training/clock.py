"""Measures the training time of a run, across resumes."""

import time
from typing import Final

SECONDS_A_MINUTE: Final = 60.0


class Clock:
    """Runs from its creation or the last `start`."""

    def __init__(self) -> None:
        self.start()

    def start(self, before_s: float = 0.0) -> None:
        """Restart with `before_s` seconds already elapsed."""
        self._before_s = before_s
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Elapsed time including the time before a resume, seconds."""
        return self._before_s + time.monotonic() - self._started_s

    @property
    def minutes(self) -> float:
        """Elapsed time, minutes."""
        return self.elapsed_s / SECONDS_A_MINUTE
