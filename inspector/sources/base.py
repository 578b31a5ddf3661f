"""What every source is: a bounded or endless run of captures, and what ingest does when the line is behind."""

from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from inspector.values import Capture


class WhenBehind(StrEnum):
    """What ingest does with new frames while the worker is behind."""

    WAIT = "wait"
    """Stop reading: a recording has time."""
    SHED_OLDEST = "shed_oldest"
    """Give up the oldest frame that waits (it ends UNINSPECTED): a strip does not stop for us."""


class Source(Protocol):
    """A camera, or something that can stand in for one; nobody downstream can tell.

    A source is used once: `with source: for capture in source.captures(): …`.
    """

    @property
    def when_behind(self) -> WhenBehind:
        """What this source can afford."""
        ...

    def __enter__(self) -> Self:
        """Open it; raises SourceError when it cannot be opened at all."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release whatever was opened."""
        ...

    def total(self) -> int | None:
        """How many captures there will be, or None where nobody can know."""
        ...

    def notes(self) -> list[str]:
        """What people should know of it before the start, such as files that are left out; each a short line."""
        ...

    def captures(self) -> Iterator[Capture | None]:
        """Every captured frame in order; a frame that cannot be had is a capture with a fault.

        None means "alive, no frame yet": a source that waits yields it at least every 0.2 s, so that ingest can
        stop in time and prove that it is idle, not stuck.
        """
        ...

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """What each frame is called and its (height, width), read without decoding where possible.

        For `inspector check`, before the start; empty for a source that is not known before it runs.
        """
        ...
