"""A camera as a source: a thread reads it; frames are passed on as they arrive; each lost frame is a fault."""

from collections.abc import Iterator
from types import TracebackType
from typing import ClassVar, Final, Generic, Self

from inspector.errors import SourceError, WorkError
from inspector.sources.base import WhenBehind
from inspector.sources.camera.losses import Lost, Shot
from inspector.sources.camera.reader import CameraReader, Raw
from inspector.values import Capture, Code, Uninspected

_POLL_S: Final = 0.1
"""Longest wait for a frame before `captures` yields None, seconds; the Source contract allows 0.2 s."""


class LiveCamera(Generic[Raw]):
    """A camera that never waits and has no end.

    A thread reads it, so that a stuck driver cannot prevent the line from stopping. A subclass turns
    what the thread reads into captures.
    """

    when_behind: ClassVar[WhenBehind] = WhenBehind.SHED_OLDEST

    def __init__(self, name: str, reader: CameraReader[Raw], *, open_s: float, join_s: float) -> None:
        """Wait at most `open_s` for the first opening, and `join_s` for the thread at the end."""
        self.name = name
        self._reader = reader
        self._open_s, self._join_s = open_s, join_s

    def __enter__(self) -> Self:
        self._reader.start()
        problem = self._reader.problem(self._open_s)
        if problem is not None:
            self._reader.stop(self._join_s)
            raise SourceError(self._refusal(problem))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.stop(self._join_s)

    @property
    def measured_rate(self) -> float | None:
        """Measured rate of the last seconds, frames or buffers per second; None until it is known."""
        return self._reader.measured_rate

    def total(self) -> int | None:
        """Return None: a camera has no end."""
        return None

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the frame size that the camera reports, if it reports one."""
        if self._reader.size is not None:
            yield self.name, self._reader.size

    def captures(self) -> Iterator[Capture | None]:
        """Yield frames as they arrive and faults for those that do not; never ends by itself."""
        while True:
            taken = self._reader.take(_POLL_S)
            if isinstance(taken, Shot):
                yield from self._frames(taken)
            elif isinstance(taken, Lost):
                colon = "" if taken.why.code is Code.NO_FRAME else ":"
                fault = Uninspected(taken.why.code, f"camera {self.name}{colon} {taken.why.text}")
                yield from self._losses(taken, fault)
            elif self._reader.alive:
                yield None
            else:
                raise WorkError(f"camera {self.name}: the thread that reads it is gone; see its error above")

    def _refusal(self, problem: str) -> str:
        return f"camera {self.name}: {problem}"

    def _frames(self, shot: Shot) -> Iterator[Capture]:
        yield Capture(shot.pixels, captured_ns=shot.captured_ns)

    def _losses(self, lost: Lost, fault: Uninspected) -> Iterator[Capture]:
        for _ in range(lost.count):
            yield Capture(None, fault=fault, captured_ns=lost.captured_ns)
