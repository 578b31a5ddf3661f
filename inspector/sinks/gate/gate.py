"""What a gate is: whoever lets steel pass or throws it out, told in blocks, each taken whole or not at all."""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Protocol

RECORDS: Final = 14
"""Newest verdicts in one block: a PLC that looks every 10 ms misses none up to 1,400 verdicts/s, and the block
still fits one Modbus request of 123 registers."""


class Action(IntEnum):
    """What the gate does with a frame. It knows no third way: uninspected is reject."""

    NONE = 0
    """No verdict stands here."""
    ACCEPT = 1
    REJECT = 2


class Fault(IntFlag):
    """While any of these is raised, the gate rejects whatever it is told."""

    MISSED = 1
    """Verdicts were not taken in time; the sequence shows how many."""
    CAMERA_SILENT = 2
    """A camera's ingest has not been heard of: its side of the strip is not looked at."""
    STOPPED = 4
    """The inspector has ended in order."""
    REFUSED = 8
    """The inspector could not take a message of one of its stages: frames may be without a verdict."""


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict as the gate hears it."""

    sequence: int
    """Counts the verdicts of this run, from 1; none is given twice, and a gap is a verdict that was missed."""
    action: Action
    late: bool
    """The frame was older than the line allows when its verdict came here."""
    uninspected: bool
    """A reject because nobody has seen the frame."""
    position_mm: float
    """Strip position of the frame's first row."""
    kind: int
    """Class 1..K of the largest defect that rejects, as the engine numbers it that decide has started with;
    0 without one."""
    camera: int
    """1 is the config's first."""


@dataclass(frozen=True, slots=True)
class Block:
    """All that a gate is told at once."""

    heartbeat: int
    """Moves while verdicts flow, or while every camera says that there is nothing to see; stands still else."""
    fault: Fault
    run: int
    """Another number after each start of decide or of an ingest: sequences begin again, and positions may."""
    records: tuple[Record, ...] = ()
    """At most RECORDS, newest first."""


class Gate(Protocol):
    """A PLC, or something that can stand in for one."""

    @property
    def run_before(self) -> int | None:
        """The run whose block it held when it was found; None before that."""
        ...

    def tell(self, block: Block) -> bool:
        """Hand over one block; returns whether it was taken.

        Takes no longer than the gate's time-out, whatever the other end does, and raises nothing: a gate that
        cannot be reached is an answer. After False the block may have been taken or not.
        """
        ...

    def close(self) -> None:
        """Leave."""
        ...


class MemoryGate:
    """A gate without a PLC: keeps what it was told, and can be out of reach."""

    def __init__(self, keep: int = 1000) -> None:
        self.blocks: deque[Block] = deque(maxlen=keep)
        self.reachable = True
        self.run_before: int | None = None

    def tell(self, block: Block) -> bool:
        """Keep the block, while reachable."""
        if self.reachable:
            self.blocks.append(block)
        return self.reachable

    def close(self) -> None:
        """Nothing to leave."""
