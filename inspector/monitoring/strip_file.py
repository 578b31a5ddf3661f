"""The strip process's reports: a small file in the links folder, replaced whole twice a second."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.files import write_whole
from inspector.monitoring.strip import StripState
from inspector.repeated import Repeated

STATE_NAME: Final = "strip-state"

EVERY_NS: Final = 500_000_000
"""Pause between two reports."""

log = structlog.get_logger()


class StripReports:
    """The strip process's end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_NAME
        self._next_ns = 0
        self._failed = Repeated()

    def turn(self, state: Callable[[int], StripState]) -> None:
        """Report the state at this time of the monotonic clock, if a report is due."""
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + EVERY_NS
        try:
            write_whole(self._path, msgspec.json.encode(state(now_ns)), sync=False)
        except OSError as error:
            if (count := self._failed.due()) is not None:
                log.warning("the state of the strip cannot be reported", error=error.strerror, count=count)


def read_strip_state(folder: Path) -> StripState | None:
    """The newest report; None without one, or with one of another version or from before a restart of the PC."""
    try:
        state = msgspec.json.decode((folder / STATE_NAME).read_bytes(), type=StripState)
    except (OSError, msgspec.MsgspecError):
        return None
    return state if state.taken_ns <= time.monotonic_ns() else None
