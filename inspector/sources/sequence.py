"""Several folders, videos or recordings, one after the other, as one camera's source."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Self

from inspector.sources.base import Source, WhenBehind
from inspector.values import Capture


class SequenceSource:
    """All captures of the first source, then those of the next; positions and frame ids continue."""

    when_behind: ClassVar[WhenBehind] = WhenBehind.WAIT

    def __init__(self, sources: Sequence[tuple[str, Source]]) -> None:
        """`sources` are pairs of a name for people and a source that is not open yet."""
        self._sources = sources
        self._stack: ExitStack | None = None

    def parts(self) -> list[Source]:
        """Return the sources in their order."""
        return [source for _, source in self._sources]

    def __enter__(self) -> Self:
        """Open all sources: a missing one must fail before the first frame, not hours later."""
        with ExitStack() as stack:
            for _, source in self._sources:
                stack.enter_context(source)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stack is not None:
            self._stack.close()
        self._stack = None

    def total(self) -> int | None:
        """Return the sum; None when one source does not know its number."""
        totals = [source.total() for _, source in self._sources]
        return None if None in totals else sum(total for total in totals if total is not None)

    def notes(self) -> list[str]:
        """Return the notes of all sources, each with the source's name."""
        return [f"{name}: {note}" for name, source in self._sources for note in source.notes()]

    def captures(self) -> Iterator[Capture | None]:
        """Yield the captures of one source after the other."""
        for _, source in self._sources:
            yield from source.captures()

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the sizes that the sources know, with the source in the name."""
        for name, source in self._sources:
            for frame, size in source.sizes():
                yield f"{name}/{frame}", size
