"""The gate: the device that passes or rejects steel. It receives blocks, each taken whole or not at all."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Protocol

RECORDS: Final = 14
"""Newest verdicts in one block.

A PLC that reads every 10 ms misses none up to 1 400 verdicts/s, and the block fits one Modbus request of 123
registers.
"""


class Action(IntEnum):
    """What the gate does with a frame. There are only two answers: uninspected is reject."""

    NONE = 0
    """No verdict in this record."""
    ACCEPT = 1
    REJECT = 2


class Fault(IntFlag):
    """Reasons to distrust the verdicts: while any bit is set, the gate rejects everything."""

    MISSED = 1
    """Verdicts were not taken in time; the gap in the sequence shows how many."""
    CAMERA_SILENT = 2
    """A camera's ingest has stopped reporting, so its side of the strip is not inspected."""
    STOPPED = 4
    """The inspector has stopped in order."""
    REFUSED = 8
    """decide refused a message of another process: frames may have no verdict."""


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict as sent to the gate."""

    sequence: int
    """Number of the verdict in this run, from 1. No number is used twice; a gap is a missed verdict."""
    action: Action
    late: bool
    """The frame was older than the line allows when its verdict was sent."""
    uninspected: bool
    """The reject of an uninspected frame."""
    position_mm: float
    """Strip position of the frame's first row."""
    kind: int
    """Class 1..K of the largest defect that rejects, 0 without one.

    The numbers are those of the engine with which decide started.
    """
    camera: int
    """Number of the camera in the config, from 1."""
    unplaced: bool = False
    """The reject of a frame whose position is unknown, because the line's encoder did not answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """Everything sent to the gate in one write."""

    heartbeat: int
    """Counter that moves while verdicts flow or while every camera reports that there is nothing to inspect.

    Otherwise it stands still.
    """
    fault: Fault
    run: int
    """Number that changes with each start of decide or of an ingest: sequences then restart, and positions may."""
    records: tuple[Record, ...] = ()
    """At most RECORDS, newest first."""


class Gate(Protocol):
    """A PLC, or a substitute for one."""

    @property
    def run_before(self) -> int | None:
        """The run number read from the gate at the latest connection; None before the first."""
        ...

    def tell(self, block: Block) -> bool:
        """Send one block; returns whether the gate took it.

        Always returns within the gate's time-out and raises nothing: an unreachable gate is a result. After False
        the gate may or may not have the block.
        """
        ...

    def close(self) -> None:
        """Disconnect."""
        ...
