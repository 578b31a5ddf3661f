"""What the gate hears, and when: verdicts in order and once, a heartbeat that only progress moves, faults."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from inspector.core.judge import to_blame
from inspector.core.rules import BoundRecipe
from inspector.core.verdicts import Outcome
from inspector.monitoring.counters import LATENCY_MS, Histogram
from inspector.monitoring.state import GateState
from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Gate, Record
from inspector.sinks.gate.log import GateLog
from inspector.values import Decision

BEAT_NS: Final = 200_000_000
"""The gate is written to at least this often. While every camera says that there is nothing to see the heartbeat
moves; else the write only finds out whether the PLC is there, and keeps it from closing the connection."""

FAULT_HOLD_NS: Final = 1_000_000_000
"""MISSED stands for so long after the last miss, and after the gate takes verdicts again: 100 scans of a PLC."""

WAITING: Final = 20 * RECORDS
"""Verdicts that may wait for their turn: with a PLC that takes 20 ms for a write, the last waits 0.4 s. More are
missed, the oldest first: they are the ones that would come too late."""

CLOSE_NS: Final = 300_000_000
"""At the end, verdicts that wait have this long: Ctrl-C ends the line within two seconds."""

RUNS: Final = 2**16 - 1
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
    """Told, taken or not, and marked late."""
    breaks: int = 0
    """How often the gate stopped taking."""
    longest_ms: float = 0.0
    """Longest that a verdict waited for the gate."""
    waits: Histogram = field(default_factory=lambda: Histogram(LATENCY_MS))
    """How long the oldest verdict of each write waited, its answer included, ms."""


class GateFeed:
    """Numbers verdicts, marks late ones, and leaves out none silently: what the gate misses is a gap.

    One write a turn: so a turn of decide's loop waits for the gate no longer than for one answer, however many
    verdicts come at once. Those that find no place in it are told in the turns that follow.
    """

    def __init__(
        self,
        gate: Gate,
        cameras: Sequence[str],
        recipe: BoundRecipe,
        late_ms: float,
        log: GateLog | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._log = log
        self._places: dict[str, tuple[int, int]] = {}
        """Camera → (ingest epoch, frame id) of its newest verdict that was numbered."""
        self._gate, self._late_ms, self._clock_ns = gate, late_ms, clock_ns
        self._rejected = recipe.rejected
        self._kinds = {name: kind for kind, name in enumerate(recipe.names)}
        self._cameras = {name: number for number, name in enumerate(cameras, 1)}
        self._run = secrets.randbelow(RUNS) + 1
        self._begun = False
        self._sequence = 0
        self._heartbeat = 0
        self._records: tuple[Record, ...] = ()
        self._waiting: deque[tuple[Outcome, int]] = deque()
        """Verdicts to be told, the oldest first, and when they were given."""
        self._fault = Fault.CAMERA_SILENT
        self._told_fault: Fault | None = None
        self._taken_since_ns: int | None = None
        self._told_ns = self._missed_ns = 0
        self.counts = GateCounts()

    @property
    def taking(self) -> bool:
        """Whether the gate took the last block."""
        return self._taken_since_ns is not None

    @property
    def waiting(self) -> int:
        """Verdicts that found no place in this turn's write."""
        return len(self._waiting)

    def state(self) -> GateState:
        """For those who watch the line."""
        counts = self.counts
        return GateState(
            taking=self.taking,
            faults=tuple(fault.name.lower() for fault in self._fault if fault.name is not None),
            sequence=self._sequence,
            heartbeat=self._heartbeat,
            waiting=self.waiting,
            taken=counts.taken,
            missed=counts.missed,
            late=counts.late,
            breaks=counts.breaks,
            longest_ms=round(counts.longest_ms, 3),
            waits=counts.waits.state(),
        )

    def turn(self, outcomes: Sequence[Outcome], *, owed: int, silent: bool, refused: bool = False) -> None:
        """Once every turn of the loop: its new verdicts in the order they were given, and how the line stands.

        The heartbeat moves with every write that carries verdicts, and otherwise only while no frame is `owed` a
        verdict; never while a camera is `silent`. So a strip that stands still is not a line that has died.
        `refused`: a message of a stage could not be taken lately.
        """
        now_ns = self._clock_ns()
        self._waiting.extend((outcome, now_ns) for outcome in outcomes)
        if len(self._waiting) > WAITING:
            self._miss(len(self._waiting) - WAITING)
        self._fault &= ~(Fault.CAMERA_SILENT | Fault.REFUSED)
        self._fault |= (Fault.CAMERA_SILENT if silent else Fault(0)) | (Fault.REFUSED if refused else Fault(0))
        if self._fault & Fault.MISSED and self._held(now_ns):
            self._fault &= ~Fault.MISSED
        if self._waiting:
            self._tell_verdicts()
            return
        due = now_ns - self._told_ns >= BEAT_NS
        if due or self._fault != self._told_fault:
            self._tell(beat=due and not owed and not silent)

    def close(self) -> None:
        """Tell what waits, and that nobody looks at the strip any more."""
        until_ns = self._clock_ns() + CLOSE_NS
        while self._waiting and self._clock_ns() < until_ns:
            self._tell_verdicts()
        self._miss(len(self._waiting))
        self._fault |= Fault.STOPPED
        self._tell(beat=False)
        self._gate.close()
        if self._log is not None:
            self._log.close()
        log.info("gate closed", taken=self.counts.taken, missed=self.counts.missed, late=self.counts.late)

    def _tell_verdicts(self) -> None:
        """One write with the oldest verdicts that wait. Where it fails all are missed: they would be too late."""
        now_ns, given_ns = self._clock_ns(), self._waiting[0][1]
        oldest = self._next_write()
        new = [self._record(outcome, (now_ns - at_ns) / 1e6) for outcome, at_ns in oldest]
        self._records = (*reversed(new), *self._records)[:RECORDS]
        taken = self._tell(beat=bool(new) and not self._fault & Fault.CAMERA_SILENT)
        if self._log is not None and new:
            verdicts = [outcome.verdict for outcome, _ in oldest]
            self._log.told(time.time_ns(), self._run, new[0].sequence, verdicts, taken=taken)
        if taken:
            self.counts.taken += len(new)
        else:
            self._missed(len(new))
            self._miss(len(self._waiting))
        waited_ms = (self._clock_ns() - given_ns) / 1e6
        self.counts.waits.add(waited_ms)
        self.counts.longest_ms = max(self.counts.longest_ms, waited_ms)

    def _next_write(self) -> list[tuple[Outcome, int]]:
        """The oldest verdicts that wait, of one run, each camera's in the order of its frames.

        A verdict behind its camera's newest one (of a replaced ingest, or of a gap in the announcements) counts as
        missed: its position would make the PLC take old steel for new.
        """
        write: list[tuple[Outcome, int]] = []
        while self._waiting and len(write) < RECORDS:
            verdict = self._waiting[0][0].verdict
            place, before = (verdict.ingest_epoch, verdict.frame_id), self._places.get(verdict.camera)
            if before is not None and place <= before:
                self._waiting.popleft()
                self._count_on()
                self._missed(1)
                continue
            if before is not None and place[0] != before[0]:
                if write:
                    break
                self._begin_run()
            self._places[verdict.camera] = place
            write.append(self._waiting.popleft())
        return write

    def _begin_run(self) -> None:
        """An ingest was replaced: its positions and ids begin anew, and so do the numbers that the PLC goes by."""
        self._run = self._run % RUNS + 1
        self._sequence, self._records = 0, ()
        log.info("gate: a new run begins, as an ingest was started again", run=self._run)

    def _miss(self, count: int) -> None:
        """The oldest verdicts that wait will never be told; their numbers are left out."""
        for _ in range(count):
            verdict = self._waiting.popleft()[0].verdict
            place, before = (verdict.ingest_epoch, verdict.frame_id), self._places.get(verdict.camera)
            if before is not None and place[0] > before[0]:
                self._begin_run()
            self._places[verdict.camera] = place if before is None else max(place, before)
            self._count_on()
        self._missed(count)

    def _count_on(self) -> int:
        # A sequence of 0 means "no verdict": it is left out when the count wraps, after months.
        self._sequence = (self._sequence + 1) % _SEQUENCES or 1
        return self._sequence

    def _record(self, outcome: Outcome, waited_ms: float) -> Record:
        verdict = outcome.verdict
        defect = to_blame(verdict, self._rejected)
        late = outcome.total_ms is None or outcome.total_ms + waited_ms > self._late_ms
        self.counts.late += late
        return Record(
            sequence=self._count_on(),
            action=Action.ACCEPT if verdict.decision is Decision.ACCEPT else Action.REJECT,
            late=late,
            uninspected=verdict.decision is Decision.UNINSPECTED,
            position_mm=verdict.position_mm,
            kind=0 if defect is None else self._kinds[defect.name],
            camera=self._cameras[verdict.camera],
        )

    def _tell(self, *, beat: bool) -> bool:
        if not self._begun and self._gate.run_before == self._run:
            # By chance the number of the run before: the PLC would take its first verdicts for old ones.
            self._run = self._run % RUNS + 1
        heartbeat = (self._heartbeat + beat) % _HEARTBEATS
        now_ns = self._told_ns = self._clock_ns()
        if not self._gate.tell(Block(heartbeat, self._fault, self._run, self._records)):
            if self.taking:
                self.counts.breaks += 1
                log.error("gate does not take verdicts", sequence=self._sequence, missed=self.counts.missed)
            self._taken_since_ns = self._told_fault = None
            # What it has not taken is never told again: an old verdict must not look like a new one.
            self._records = ()
            return False
        self._heartbeat, self._told_fault, self._begun = heartbeat, self._fault, True
        if self._taken_since_ns is None:
            self._taken_since_ns = now_ns
            log.info("gate takes verdicts", sequence=self._sequence, missed=self.counts.missed)
        return True

    def _missed(self, count: int) -> None:
        if count:
            self.counts.missed += count
            self._fault |= Fault.MISSED
            self._missed_ns = self._clock_ns()

    def _held(self, now_ns: int) -> bool:
        """Whether MISSED has stood for long enough to be seen."""
        since_ns = self._taken_since_ns
        return since_ns is not None and now_ns - max(since_ns, self._missed_ns) >= FAULT_HOLD_NS
