"""A stream of results, read from a position."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

FRAMES: Final = "frames"
COILS: Final = "coils"
HEALTH: Final = "health"


class Step(NamedTuple):
    """One result, and the position after it."""

    stream: str
    position: Any
    """Plain values, which the cursor's file keeps as JSON."""
    item: Any
    """A `Verdict`, a `CoilResult` or a `HealthChange`, by the stream."""


class Stream(Protocol):
    """One kind of results, oldest first."""

    name: str

    def seek(self, position: Any) -> None:
        """Go to a position; None skips everything that is there now."""

    def position(self) -> Any:
        """Where the next result is read."""

    def read(self, most: int) -> Sequence[Step]:
        """Return at most `most` results that are there now, and move past them. Raises OSError."""
