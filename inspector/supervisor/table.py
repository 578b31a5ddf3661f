"""The processes of the line, each a thin loop around the stages, in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the table."""

    name: str
    module: str
    per_camera: bool
    ready_when: str
    """What it has done before it says READY."""

    def main(self) -> Callable[..., None]:
        """Its `main(config, …)`, imported only when it runs."""
        main: Callable[..., None] = import_module(self.module).main
        return main


INGEST: Final = Process("ingest", "inspector.ingest.process", True, "the source is open")
WORKER: Final = Process("worker", "inspector.worker.process", False, "the golden frames passed")
DECIDE: Final = Process("decide", "inspector.decide.process", False, "its links are bound and its sinks open")

PROCESSES: Final = (DECIDE, WORKER, INGEST)
"""In the order in which a line starts; it stops in the opposite one."""
