"""The processes of a line in one table. Each is a thin loop around the functions of `inspector.core`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the process table."""

    name: str
    module: str
    per_camera: bool

    def main(self) -> Callable[..., None]:
        """Import the module and return its `main(config, …)`."""
        main: Callable[..., None] = import_module(self.module).main
        return main


INGEST: Final = Process("ingest", "inspector.ingest.process", True)
WORKER: Final = Process("worker", "inspector.worker.process", False)
DECIDE: Final = Process("decide", "inspector.decide.process", False)

STRIP: Final = Process("strip", "inspector.strip.process", False)
"""Only on a line with a `[strip]` table."""

ARCHIVE: Final = Process("archive", "inspector.archive.process", False)
"""Only on a line with an `[archive]` table."""

PROCESSES: Final = (ARCHIVE, STRIP, DECIDE, WORKER, INGEST)
"""In start order; a line stops in reverse order."""
