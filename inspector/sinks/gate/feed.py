"""What the gate receives, and when: each verdict once and in order, faults, and a heartbeat of progress."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import structlog

from inspector.core.judge import to_blame
from inspector.core.rules import BoundRecipe
from inspector.core.strip.odometer import ZEROS
from inspector.core.verdicts import Outcome
from inspector.monitoring.counters import LATENCY_MS, Histogram
from inspector.monitoring.state import GateState
from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Gate, Record
from inspector.sinks.gate.log import GateLog
from inspector.sinks.gate.steel import CameraSteel, Piece
from inspector.values import Decision, Motion, StripPlace, Verdict

BEAT_NS: Final = 200_000_000
"""Longest time between two writes to the gate, ns.

The heartbeat moves with such a write only while no frame lacks a verdict and no camera is silent. Otherwise the
write just checks that the PLC is there and keeps it from closing the connection.
"""

FAULT_HOLD_NS: Final = 1_000_000_000
"""How long MISSED stays set after the last miss and after a reconnect, ns: 100 scans of a PLC."""

WAITING: Final = 20 * RECORDS
"""Longest queue of verdicts for the gate.

With a PLC that takes 20 ms per write, the last one waits 0.4 s. Beyond this the oldest count as missed, because
they would be too late.
"""

CLOSE_NS: Final = 300_000_000
"""Time to send queued verdicts at the end, ns; Ctrl-C ends the line within two seconds."""

JUMP_MM: Final = 2**31
"""A position that jumps so far begins a new run, mm: 32-bit differences would be wrong."""

NO_FRAME: Final = -1
"""Frame id in gate.jsonl for a reject of steel that no frame shows, or that another frame was rejected for."""

CLOSE_TURN_S: Final = 0.005
"""How often to look at the end whether the log has the queued verdicts, seconds."""

RUNS: Final = 2**16 - 1
_HEARTBEATS: Final = 2**16
_SEQUENCES: Final = 2**32

log = structlog.get_logger()


class _Told(NamedTuple):
    """A verdict in a write, and how its steel is reported."""

    outcome: Outcome
    made_ns: int
    unseen_mm: float
    """Length of steel before the frame that no frame shows; 0 for noise."""
    pieces: list[Piece]
    """Of an accepted frame, the pieces that are accepted and rejected; else its place."""

    @property
    def records(self) -> int:
        """How many records it takes."""
        return len(self.pieces) + (self.unseen_mm > 0)


@dataclass(slots=True)
class GateCounts:
    """Results of sending verdicts to the gate."""

    taken: int = 0
    missed: int = 0
    """Verdicts not taken in time. One in transit when a connection broke may have been taken all the same."""
    late: int = 0
    """Verdicts marked late, whether taken or not."""
    unplaced: int = 0
    """Verdicts whose position is unknown, whether taken or not."""
    breaks: int = 0
    """How often the gate stopped taking blocks."""
    longest_ms: float = 0.0
    """Longest wait of a verdict for the gate."""
    waits: Histogram = field(default_factory=lambda: Histogram(LATENCY_MS))
    """Waits of the oldest verdict of each write, including the gate's answer, ms."""


class GateFeed:
    """Numbers the verdicts, marks late ones and sends them; a verdict the gate misses leaves a gap in the numbers.

    There is one write per turn, so decide's loop waits for at most one answer, however many verdicts arrive at
    once. Verdicts beyond one block are sent in the following turns.
    """

    def __init__(
        self,
        gate: Gate,
        cameras: Sequence[str],
        recipe: BoundRecipe,
        late_ms: float,
        log: GateLog | None = None,
        unkept: Callable[[], int] = lambda: 0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        encoder: bool = False,
    ) -> None:
        """`unkept` returns how many of the newest verdicts neither journal nor log has: the gate must not get an
        accept that a kill would leave in no log. `encoder`: the line's positions come from an encoder, so a frame
        whose position it does not tell is no accept."""
        self._encoder = encoder
        self._zero: int | None = None
        """The newest zero of the encoder's positions."""
        self._lost_mm: dict[str, float] = {}
        """By camera: where its first frame without a position lies, while it has none."""
        self._log, self._unkept = log, unkept
        self._steel = {name: CameraSteel() for name in cameras}
        self._newest: dict[str, Verdict] = {}
        """By camera: its newest numbered verdict."""
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
        """Verdicts to send, oldest first, and when each was made."""
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
        """Verdicts that did not fit into this turn's write, or are not in the log yet."""
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """Waiting verdicts that can be sent now."""
        return max(0, len(self._waiting) - self._unkept())

    def state(self) -> GateState:
        """State of the gate for health and metrics."""
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
            unplaced=counts.unplaced,
        )

    def turn(
        self,
        outcomes: Sequence[Outcome],
        *,
        pending: int,
        silent: bool,
        refused: bool = False,
        kept: bool = True,
    ) -> None:
        """Send the new verdicts, in the order they were made, and the state of the line; called once per turn.

        The heartbeat moves with every write that carries verdicts, and otherwise only while no frame is `pending`:
        a strip at rest does not look like a dead line. It never moves while a camera is `silent`.
        `refused`: decide refused a message recently. `kept`: the log has the new verdicts or will have them.
        """
        now_ns = self._clock_ns()
        self._waiting.extend((outcome, now_ns) for outcome in outcomes)
        if len(self._waiting) > WAITING:
            self._miss(len(self._waiting) - WAITING)
        if not kept:
            self._miss(len(self._waiting))
        ready = self.ready
        while not ready and self._waiting and self._too_late(*self._waiting[0], now_ns):
            self._miss(1)
        self._fault &= ~(Fault.CAMERA_SILENT | Fault.REFUSED)
        self._fault |= (Fault.CAMERA_SILENT if silent else Fault(0)) | (Fault.REFUSED if refused else Fault(0))
        if self._fault & Fault.MISSED and self._held(now_ns):
            self._fault &= ~Fault.MISSED
        if ready:
            self._tell_verdicts(ready)
            return
        due = now_ns - self._told_ns >= BEAT_NS
        if due or self._fault != self._told_fault:
            self._tell(beat=due and not pending and not silent and not self._waiting)

    def close(self) -> None:
        """Send the queued verdicts, then STOPPED: the strip is no longer inspected."""
        until_ns = self._clock_ns() + CLOSE_NS
        while self._waiting and self._clock_ns() < until_ns:
            if ready := self.ready:
                self._tell_verdicts(ready)
            else:
                time.sleep(CLOSE_TURN_S)
        self._miss(len(self._waiting))
        self._fault |= Fault.STOPPED
        self._tell(beat=False)
        self._gate.close()
        if self._log is not None:
            self._log.close()
        log.info("gate closed", taken=self.counts.taken, missed=self.counts.missed, late=self.counts.late)

    def _too_late(self, outcome: Outcome, made_ns: int, now_ns: int) -> bool:
        return outcome.total_ms is None or outcome.total_ms + (now_ns - made_ns) / 1e6 > self._late_ms

    def _tell_verdicts(self, ready: int) -> None:
        """Send the oldest queued verdicts, at most `ready`, in one write.

        If it fails, all queued ones are too late and missed.
        """
        now_ns, given_ns = self._clock_ns(), self._waiting[0][1]
        oldest = self._next_write(ready)
        new: list[Record] = []
        frames: list[tuple[str, int, int]] = []
        for told in oldest:
            verdict = told.outcome.verdict
            for record, frame_id in self._records_of(told, now_ns):
                new.append(record)
                frames.append((verdict.camera, verdict.ingest_epoch, frame_id))
        self._records = (*reversed(new), *self._records)[:RECORDS]
        taken = self._tell(beat=bool(new) and not self._fault & Fault.CAMERA_SILENT)
        if self._log is not None and new:
            self._log.told(time.time_ns(), self._run, new[0].sequence, frames, taken=taken)
        if taken:
            self.counts.taken += len(oldest)
        else:
            self._missed(len(oldest))
            self._miss(len(self._waiting))
        waited_ms = (self._clock_ns() - given_ns) / 1e6
        self.counts.waits.add(waited_ms)
        self.counts.longest_ms = max(self.counts.longest_ms, waited_ms)

    def _records_of(self, told: _Told, now_ns: int) -> Iterator[tuple[Record, int]]:
        """Yield the records of a verdict, each with its frame id, NO_FRAME for steel that is not its own."""
        verdict, whole = told.outcome.verdict, len(told.pieces) == 1
        if told.unseen_mm:
            yield self._reject(verdict, verdict.position_mm - told.unseen_mm, uninspected=True), NO_FRAME
        own = self._record(told.outcome, (now_ns - told.made_ns) / 1e6)
        for piece in told.pieces:
            if piece.rejected:
                yield self._reject(verdict, piece.position_mm), verdict.frame_id if whole else NO_FRAME
            else:
                at_mm = own.position_mm if whole else piece.position_mm
                yield replace(own, sequence=self._count_on(), position_mm=at_mm), verdict.frame_id

    def _next_write(self, most: int) -> list[_Told]:
        """Return the oldest queued verdicts of one run, at most `most`, each camera's in frame order.

        Their records fit into one block.

        A verdict behind its camera's newest one (from a replaced ingest, or after a gap in the announcements)
        counts as missed: the PLC would take its old position for a new one.
        """
        write: list[_Told] = []
        room = RECORDS
        for _ in range(most):
            outcome = self._waiting[0][0]
            verdict = outcome.verdict
            before = self._newest.get(verdict.camera)
            if before is not None and _place(verdict) <= _place(before):
                self._advance(self._waiting.popleft()[0])
                self._count_on()
                self._missed(1)
                continue
            if write and (self._begins_run(before, outcome) or self._most_records(outcome) > room):
                break
            _, made_ns = self._waiting.popleft()
            self._advance(outcome)
            told = _Told(outcome, made_ns, self._unseen_mm(verdict), self._pieces(outcome))
            room -= told.records
            write.append(told)
        return write

    def _advance(self, outcome: Outcome) -> None:
        """Note a camera's newest verdict, which may begin a new run."""
        verdict = outcome.verdict
        before = self._newest.get(verdict.camera)
        if before is None or _place(verdict) > _place(before):
            if self._begins_run(before, outcome):
                self._begin_run()
            if outcome.zero is not None and (self._zero is None or _is_newer(outcome.zero, self._zero)):
                self._zero = outcome.zero
                for steel in self._steel.values():
                    steel.forget()
            self._newest[verdict.camera] = verdict
        place = verdict.strip
        if verdict.decision is Decision.REJECT and self._is_placed(outcome) and isinstance(place, StripPlace):
            self._steel[verdict.camera].reject(verdict.position_mm, place.length_mm)

    def _begins_run(self, before: Verdict | None, outcome: Outcome) -> bool:
        """Whether a camera's position does not continue that of `before`: an ingest was replaced, or an encoder
        jumped or could not be followed."""
        if outcome.zero is not None and self._zero is not None and _is_newer(outcome.zero, self._zero):
            return True
        verdict = outcome.verdict
        return before is not None and (
            verdict.ingest_epoch > before.ingest_epoch or abs(verdict.position_mm - before.position_mm) >= JUMP_MM
        )

    def _begin_run(self) -> None:
        """Start a new run number, with sequences from 1: positions do not continue."""
        self._run = self._run % RUNS + 1
        self._sequence, self._records = 0, ()
        log.info("gate: a new run begins, because a camera's positions do not continue", run=self._run)

    def _miss(self, count: int) -> None:
        """Drop the oldest queued verdicts and skip their sequence numbers."""
        for _ in range(count):
            self._advance(self._waiting.popleft()[0])
            self._count_on()
        self._missed(count)

    def _count_on(self) -> int:
        # Sequence 0 means "no verdict", so it is skipped when the count wraps, after months.
        self._sequence = (self._sequence + 1) % _SEQUENCES or 1
        return self._sequence

    def _record(self, outcome: Outcome, waited_ms: float) -> Record:
        verdict = outcome.verdict
        defect = to_blame(verdict, self._rejected)
        late = outcome.total_ms is None or outcome.total_ms + waited_ms > self._late_ms
        self.counts.late += late
        unplaced = self._encoder and not self._is_placed(outcome)
        self.counts.unplaced += unplaced
        position_mm = verdict.position_mm
        if unplaced:
            # Counted positions run on while the strip stands: one place stands for all steel until one is known.
            position_mm = self._lost_mm.setdefault(verdict.camera, position_mm)
        else:
            self._lost_mm.pop(verdict.camera, None)
        return Record(
            sequence=0,
            action=Action.ACCEPT if verdict.decision is Decision.ACCEPT and not unplaced else Action.REJECT,
            late=late,
            uninspected=verdict.decision is Decision.UNINSPECTED,
            position_mm=position_mm,
            kind=0 if defect is None else self._kinds[defect.name],
            camera=self._cameras[verdict.camera],
            unplaced=unplaced,
        )

    def _reject(self, verdict: Verdict, position_mm: float, *, uninspected: bool = False) -> Record:
        """Return the reject of a piece of steel in or before an accepted frame."""
        return Record(
            sequence=self._count_on(),
            action=Action.REJECT,
            late=False,
            uninspected=uninspected,
            position_mm=position_mm,
            kind=0,
            camera=self._cameras[verdict.camera],
        )

    def _most_records(self, outcome: Outcome) -> int:
        place = outcome.verdict.strip
        return len(self._pieces(outcome)) + (isinstance(place, StripPlace) and place.gap_mm > 0)

    def _unseen_mm(self, verdict: Verdict) -> float:
        place = verdict.strip
        if not isinstance(place, StripPlace):
            return 0.0
        return place.gap_mm if self._steel[verdict.camera].leaves_unseen(verdict.position_mm, place) else 0.0

    def _pieces(self, outcome: Outcome) -> list[Piece]:
        verdict = outcome.verdict
        place = verdict.strip
        if verdict.decision is Decision.ACCEPT and self._is_placed(outcome) and isinstance(place, StripPlace):
            return self._steel[verdict.camera].pieces(verdict.position_mm, place.length_mm)
        return [Piece(verdict.position_mm, rejected=False)]

    def _is_placed(self, outcome: Outcome) -> bool:
        """Whether the encoder tells where the frame lies, from the zero of this run.

        A position counted from frames is wrong once the strip changes its speed or turns back: an accept for it
        would let other steel pass.
        """
        place = outcome.verdict.strip
        known = isinstance(place, StripPlace) and place.motion is not Motion.UNKNOWN
        return known and outcome.zero == self._zero

    def _tell(self, *, beat: bool) -> bool:
        if not self._begun and self._gate.run_before == self._run:
            # By chance the previous run had this number: the PLC would take the first verdicts for old ones.
            self._run = self._run % RUNS + 1
        heartbeat = (self._heartbeat + beat) % _HEARTBEATS
        now_ns = self._told_ns = self._clock_ns()
        if not self._gate.tell(Block(heartbeat, self._fault, self._run, self._records)):
            if self.taking:
                self.counts.breaks += 1
                log.error("gate does not take verdicts", sequence=self._sequence, missed=self.counts.missed)
            self._taken_since_ns = self._told_fault = None
            # A block that failed is not sent again: an old verdict must not look like a new one.
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
        """Whether MISSED has been set long enough for a PLC to see it."""
        since_ns = self._taken_since_ns
        return since_ns is not None and now_ns - max(since_ns, self._missed_ns) >= FAULT_HOLD_NS


def _place(verdict: Verdict) -> tuple[int, int]:
    return verdict.ingest_epoch, verdict.frame_id


def _is_newer(zero: int, than: int) -> bool:
    """Zeros are counted up, and wrap."""
    return 0 < (zero - than) % ZEROS < ZEROS // 2
