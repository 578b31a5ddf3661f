"""Faults in labelled frames. Training stops at the first one; a check collects them all."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.errors import InputError


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in one place."""

    kind: str
    """Short name, the same for all faults of this kind."""
    file: Path
    text: str
    row: int | str | None = None
    """Line of a table, from 1, or id of an annotation."""
    where: str = ""
    """The place in the file, for people."""
    frame: str | None = None
    """Name of the affected frame."""
    refused: bool = True
    """Whether training refuses the data because of it; other faults are only reported."""

    def __str__(self) -> str:
        """One line with file and row."""
        where = self.where or (f"row {self.row}" if self.row is not None else "")
        return f"{self.file}: {where}: {self.text}" if where else f"{self.file}: {self.text}"


Complain = Callable[[Fault], None]
"""Receives every fault. If it returns, the reader continues without the entry at fault."""


class DataError(InputError):
    """A fault that stops the reading of a frame or of the whole data set."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def refuse(fault: Fault) -> None:
    """Raise DataError for a fault that training refuses; ignore others. This is the default for training."""
    if fault.refused:
        raise DataError(fault)


class Remarks:
    """Refuses what training refuses; keeps the rest, and prints one line for each kind."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __call__(self, fault: Fault) -> None:
        """Raise DataError for a fault that training refuses; keep any other."""
        refuse(fault)
        self._faults.append(fault)

    def tell(self) -> None:
        """Print the first remark of each kind as a warning, with the number of the others."""
        for first, count in by_kind(self._faults):
            more = f" (and {count - 1} more of this kind)" if count > 1 else ""
            print(f"trainer: warning: {first}{more}", file=sys.stderr)


def by_kind(faults: Sequence[Fault]) -> list[tuple[Fault, int]]:
    """The first fault of each kind and the number of that kind, in order of appearance."""
    counts: dict[str, int] = {}
    first: dict[str, Fault] = {}
    for fault in faults:
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
        first.setdefault(fault.kind, fault)
    return [(fault, counts[kind]) for kind, fault in first.items()]
