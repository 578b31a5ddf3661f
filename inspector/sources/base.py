"""The interface of every source: a finite or endless sequence of captures."""

from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from inspector.values import Capture


class WhenBehind(StrEnum):
    """What ingest does with new frames while the worker is behind."""

    WAIT = "wait"
    """Stop reading; a recording can wait."""
    SHED_OLDEST = "shed_oldest"
    """Drop the oldest waiting frame, which ends UNINSPECTED; the strip does not stop."""


class Source(Protocol):
    """A camera or a stand-in for one; nothing downstream can tell them apart.

    A source is used once: `with source: for capture in source.captures(): …`.
    """

    @property
    def when_behind(self) -> WhenBehind:
        """What ingest does when the worker is behind this source."""
        ...

    def __enter__(self) -> Self:
        """Open the source; raises SourceError when that fails."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release everything that was opened."""
        ...

    def total(self) -> int | None:
        """Return the number of captures to come, or None when it is unknown."""
        ...

    def notes(self) -> list[str]:
        """Return short notes to show before the start, one line each; for example files that are left out."""
        ...

    def captures(self) -> Iterator[Capture | None]:
        """Yield every captured frame in order; an unavailable frame is a capture with a fault.

        None means "alive, no frame yet". A waiting source yields None at least every 0.2 s, so that ingest can
        stop promptly and report that it is idle, not stuck.
        """
        ...

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield each frame's name and (height, width), read without decoding if possible.

        For `inspector check`, before the start. Yields nothing when sizes are unknown before the start.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """A source that measures itself, for the metrics: a camera's temperature, its stream's counters."""

    def readings(self) -> dict[str, float]:
        """Return the newest values by name; empty before the first."""
        ...
