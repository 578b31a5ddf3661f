"""What the gate hears, and when: verdicts in order and once, a heartbeat that only progress moves, faults."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from inspector.sinks.gate import RECORDS, Action, Block, Fault, Gate, Record
from inspector.stages.judge import rejecting_kind
from inspector.stages.line_state import GateState
from inspector.stages.meters import LATENCY_MS, Histogram
from inspector.stages.verdicts import Outcome
from inspector.values import Decision

BEAT_NS: Final = 200_000_000
"""While every camera says that there is nothing to see, the heartbeat moves this often."""

FAULT_HOLD_NS: Final = 1_000_000_000
"""A raised MISSED stands for so long after the gate takes verdicts again: a hundred scans of a PLC."""

_HEARTBEATS: Final = 2**16
_SEQUENCES: Final = 2**32

log = structlog.get_logger()


@dataclass(slots=True)
class GateCounts:
    """What became of the verdicts on their way to the gate."""

    taken: int = 0
    missed: int = 0
    """Not taken in time; what was on its way when a connection broke may have been taken all the same."""
    late: int = 0
    """Taken or missed, but marked late."""
    breaks: int = 0
    """How often the gate stopped taking."""
    longest_ms: float = 0.0
    """Longest that verdicts waited for the gate."""
    waits: Histogram = field(default_factory=lambda: Histogram(LATENCY_MS))
    """How long the verdicts given in one turn waited, ms."""


class GateFeed:
    """Numbers verdicts, marks late ones, and leaves out none silently: what the gate misses is a gap."""

    def __init__(
        self,
        gate: Gate,
        cameras: Sequence[str],
        rejects: tuple[bool, ...],
        late_ms: float,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._gate, self._rejects, self._late_ms, self._clock_ns = gate, rejects, late_ms, clock_ns
        self._cameras = {name: number for number, name in enumerate(cameras, 1)}
        self._run = secrets.randbelow(2**16 - 1) + 1
        self._sequence = 0
        self._heartbeat = 0
        self._records: tuple[Record, ...] = ()
        self._fault = Fault.CAMERA_SILENT
        self._told_fault: Fault | None = None
        self._taken_since_ns: int | None = None
        self._last_beat_ns = 0
        self.counts = GateCounts()

    @property
    def taking(self) -> bool:
        """Whether the gate took the last block."""
        return self._taken_since_ns is not None

    def state(self) -> GateState:
        """For those who watch the line."""
        counts = self.counts
        return GateState(
            taking=self.taking,
            faults=tuple(fault.name.lower() for fault in self._fault if fault.name is not None),
            sequence=self._sequence,
            heartbeat=self._heartbeat,
            taken=counts.taken,
            missed=counts.missed,
            late=counts.late,
            breaks=counts.breaks,
            longest_ms=round(counts.longest_ms, 3),
            waits=counts.waits.state(),
        )

    def give(self, outcomes: Sequence[Outcome]) -> None:
        """Verdicts in the order they were given. A gate that fails is waited for once, whatever comes behind."""
        start_ns = self._clock_ns()
        for first in range(0, len(outcomes), RECORDS):
            waited_ms = (self._clock_ns() - start_ns) / 1e6
            new = [self._record(outcome, waited_ms) for outcome in outcomes[first : first + RECORDS]]
            self._records = (*reversed(new), *self._records)[:RECORDS]
            if self._tell(beat=not self._fault & Fault.CAMERA_SILENT):
                self.counts.taken += len(new)
            else:
                self._missed(len(new))
        if outcomes:
            waited_ms = (self._clock_ns() - start_ns) / 1e6
            self.counts.waits.add(waited_ms)
            self.counts.longest_ms = max(self.counts.longest_ms, waited_ms)

    def turn(self, *, owed: int, silent: bool) -> None:
        """Once every turn of the loop: `owed` frames have no verdict yet, `silent` cameras are not heard of.

        The heartbeat moves here only while nothing is owed and every camera is heard of: a strip that stands
        still is not a line that has died.
        """
        now_ns = self._clock_ns()
        self._fault = (self._fault & ~Fault.CAMERA_SILENT) | (Fault.CAMERA_SILENT if silent else Fault(0))
        if self._fault & Fault.MISSED and self._held(now_ns):
            self._fault &= ~Fault.MISSED
        idle = not owed and not silent
        due = idle and now_ns - self._last_beat_ns >= BEAT_NS
        # While the gate takes nothing this finds out when it does again; a write that cannot be made costs nothing.
        if due or self._fault != self._told_fault:
            self._tell(beat=due)

    def close(self) -> None:
        """Tell the gate that nobody looks at the strip any more."""
        self._fault |= Fault.STOPPED
        self._tell(beat=False)
        self._gate.close()
        log.info("gate closed", taken=self.counts.taken, missed=self.counts.missed, late=self.counts.late)

    def _record(self, outcome: Outcome, waited_ms: float) -> Record:
        verdict = outcome.verdict
        # A sequence of 0 means "no verdict": it is left out when the count wraps, after months.
        self._sequence = (self._sequence + 1) % _SEQUENCES or 1
        late = outcome.total_ms is None or outcome.total_ms + waited_ms > self._late_ms
        self.counts.late += late
        return Record(
            sequence=self._sequence,
            action=Action.ACCEPT if verdict.decision is Decision.ACCEPT else Action.REJECT,
            late=late,
            uninspected=verdict.decision is Decision.UNINSPECTED,
            position_mm=verdict.position_mm,
            kind=rejecting_kind(verdict, self._rejects),
            camera=self._cameras[verdict.camera],
        )

    def _tell(self, *, beat: bool) -> bool:
        heartbeat = (self._heartbeat + beat) % _HEARTBEATS
        now_ns = self._last_beat_ns = self._clock_ns()
        if not self._gate.tell(Block(heartbeat, self._fault, self._run, self._records)):
            if self.taking:
                self.counts.breaks += 1
                log.error("gate does not take verdicts", sequence=self._sequence, missed=self.counts.missed)
            self._taken_since_ns = self._told_fault = None
            # What it has not taken is never told again: an old verdict must not look like a new one.
            self._records = ()
            return False
        self._heartbeat, self._told_fault = heartbeat, self._fault
        if self._taken_since_ns is None:
            self._taken_since_ns = now_ns
            log.info("gate takes verdicts", sequence=self._sequence, missed=self.counts.missed)
        return True

    def _missed(self, count: int) -> None:
        self.counts.missed += count
        self._fault |= Fault.MISSED

    def _held(self, now_ns: int) -> bool:
        return self._taken_since_ns is not None and now_ns - self._taken_since_ns >= FAULT_HOLD_NS
