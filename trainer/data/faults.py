"""What can be wrong with labelled frames, and who hears of it: training stops at the first, a check collects."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inspector.errors import InputError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one place."""

    kind: str
    """Short name, the same for all faults of a sort."""
    file: Path
    text: str
    row: int | None = None
    """Line of a table, from 1, or id of an annotation."""
    where: str = ""
    """The place in the file, readable."""
    frame: str | None = None
    """Name of the frame concerned."""
    refused: bool = True
    """Whether training refuses it; what it only remarks on does not stop it."""

    def __str__(self) -> str:
        """One line naming file and row."""
        where = self.where or (f"row {self.row}" if self.row is not None else "")
        return f"{self.file}: {where}: {self.text}" if where else f"{self.file}: {self.text}"


Complain = Callable[[Fault], None]
"""Told of every fault; where it returns, the reader goes on without what is at fault."""


class DataError(InputError):
    """A fault that ends the reading of a frame or of the whole set."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def refuse(fault: Fault) -> None:
    """Raise DataError for the first fault that matters: what training does."""
    if fault.refused:
        raise DataError(fault)
