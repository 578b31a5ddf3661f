"""The verdicts of a report: all in a folder's verdict logs, or those of one coil or the last hours."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.render.local_time import moment
from inspector.results import VERDICTS_NAME
from inspector.sinks.log.verdict_log import full_files
from inspector.values import Verdict

CLOCK_SLACK_S: Final = 3600.0
"""Allowance for a PC clock that was set back, seconds.

A full log last written earlier than this before the first wanted verdict is not read.
"""

COILS_TOLD: Final = 12
"""Most coils named when the requested one is not there."""


SPAN_SLACK_NS: Final = 60_000_000_000
"""Longest time between a coil's reported start or end and the capture of its frames before or after it."""


@dataclass(frozen=True, slots=True)
class CoilSpan:
    """A coil's stretch of strip, and its time."""

    start_mm: float
    end_mm: float
    started_ns: int
    ended_ns: int

    def holds(self, verdict: Verdict) -> bool:
        """Return whether the frame's first row is on the coil."""
        in_time = self.started_ns - SPAN_SLACK_NS <= verdict.captured_ns <= self.ended_ns + SPAN_SLACK_NS
        return in_time and self.start_mm <= verdict.position_mm < self.end_mm


@dataclass(slots=True)
class Selection:
    """The verdicts to report, all by default. It also notes what else was read, for the error if none fits."""

    coil: str | None = None
    last: str | None = None
    """As the user wrote it, such as 8h."""
    since_ns: int | None = None
    """Start of `last`."""
    span: CoilSpan | None = None
    """Stretch of `coil` if its result is on record: its frames are then found by position, not by label."""
    coils_met: set[str] = field(default_factory=set)
    newest_ns: int = 0

    @property
    def everything(self) -> bool:
        """Whether all verdicts are selected."""
        return self.coil is None and self.since_ns is None

    def wants(self, verdict: Verdict) -> bool:
        """Whether a verdict is selected."""
        self.newest_ns = max(self.newest_ns, verdict.captured_ns)
        if verdict.coil is not None and len(self.coils_met) < COILS_TOLD:
            self.coils_met.add(verdict.coil)
        if self.since_ns is not None and verdict.captured_ns < self.since_ns:
            return False
        if self.coil is None:
            return True
        return verdict.coil == self.coil if self.span is None else self.span.holds(verdict)

    def nothing(self) -> str:
        """Return why no verdict fits, and what would."""
        newest = f"the newest verdict read is of {moment(self.newest_ns)}" if self.newest_ns else "none is there"
        if self.since_ns is not None and self.newest_ns < self.since_ns:
            return f"no verdict of the last {self.last}: {newest}: give a longer --last"
        if self.coil is not None:
            coils = ", ".join(sorted(self.coils_met)) or "none is named"
            within = f" in the last {self.last}" if self.last else ""
            return f"no verdict of coil {self.coil}{within}; coils on record: {coils}"
        return f"no verdict of the last {self.last}: {newest}"

    def name(self) -> str:
        """Name for the report's file; empty for everything."""
        parts = [self.coil or "", f"last-{self.last}" if self.last else ""]
        return "-".join(part for part in parts if part)


class VerdictFiles:
    """A folder's verdict logs as a stream, oldest first; a line may write to them meanwhile."""

    def __init__(self, folder: Path, selection: Selection) -> None:
        """Raises InputError if the folder holds no verdict log."""
        self._folder, self._selection = folder, selection
        self.rotated = bool(full_files(folder / VERDICTS_NAME)) if folder.is_dir() else False
        """The logs are a service's, which keeps only the newest ones and counts from its last start."""
        if not self.rotated and not (folder / VERDICTS_NAME).exists():
            raise InputError(_nothing_here(folder))

    def lines(self) -> Iterator[bytes]:
        """Yield every line of the logs that may hold a wanted verdict. Raises OSError."""
        try:
            # Opened before the others are listed, so that a log rotated meanwhile is not missed.
            newest = (self._folder / VERDICTS_NAME).open("rb")
        except FileNotFoundError:
            if not self.rotated:
                raise
            newest = None
        inode = os.fstat(newest.fileno()).st_ino if newest is not None else None
        try:
            for path in full_files(self._folder / VERDICTS_NAME):
                yield from self._full(path, inode)
            if newest is not None:
                yield from newest
        finally:
            if newest is not None:
                newest.close()

    def _full(self, path: Path, newest: int | None) -> Iterator[bytes]:
        since_ns = self._selection.since_ns
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino == newest:
                    return
                if since_ns is not None and status.st_mtime < since_ns / 1e9 - CLOCK_SLACK_S:
                    return
                yield from file
        except FileNotFoundError:  # the line has deleted its oldest log
            return


def _nothing_here(folder: Path) -> str:
    """Return what is wrong, and the newest run if the folder holds runs."""
    if not folder.is_dir():
        return f"{folder}: no such folder: a report is made of the folder that a run, replay or service wrote"
    runs = sorted(folder.glob(f"*/{VERDICTS_NAME}"), key=lambda path: path.stat().st_mtime)
    hint = f"name a run in it: inspector report {runs[-1].parent}" if runs else "give the folder of a run"
    return f"{folder}: holds no {VERDICTS_NAME}: {hint}"
