"""What the gate hears: in order, once, late ones marked, nothing for accept that was not seen."""

from pathlib import Path

import msgspec
import pytest

from inspector.core.rules import BoundRecipe, score_thresholds
from inspector.core.verdicts import Outcome
from inspector.sinks.gate.feed import BEAT_NS, FAULT_HOLD_NS, WAITING, GateFeed
from inspector.sinks.gate.gate import RECORDS, Action, Fault
from inspector.sinks.gate.log import GATE_LOG_NAME, GateLine, GateLog
from inspector.sinks.gate.registers import REGISTERS, decode, encode
from inspector.values import Decision, Defect, Motion, StripPlace, Verdict
from tests.support.memory_gate import MemoryGate
from tests.support.plc import heard

LATE_MS = 200.0
NAMES = ("normal", "pits", "stains")
RECIPE = BoundRecipe(
    "r@1", NAMES, (False, True, False), (0.0,) * 3, score_thresholds(NAMES, dict.fromkeys(NAMES, 0.5)), 1.0, 1.0
)


class Desk:
    """A feed with a clock that only the test moves."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.gate = MemoryGate()
        self.unkept = 0
        self.feed = GateFeed(
            self.gate, ["top", "bottom"], RECIPE, LATE_MS, None, lambda: self.unkept, lambda: self.now_ns
        )

    def turn(self, after_ns: int = 0, pending: int = 0, silent: bool = False) -> None:
        self.now_ns += after_ns
        self.feed.turn([], pending=pending, silent=silent)

    def give(self, outcomes: list[Outcome], silent: bool = False) -> None:
        self.feed.turn(outcomes, pending=0, silent=silent)

    @property
    def heartbeat(self) -> int:
        return self.gate.blocks[-1].heartbeat


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.turn()
    return desk


def defect(kind: int, area_px: int, name: str = "") -> Defect:
    return Defect(f"d{kind}", kind, name or NAMES[kind], (0, 0, 4, 4), area_px, 1.0, 0.0, 0.0, 0.9)


def outcome(
    frame_id: int = 0,
    decision: Decision = Decision.ACCEPT,
    total_ms: float | None = 20.0,
    defects: tuple[Defect, ...] = (),
    camera: str = "top",
    epoch: int = 0,
    position_mm: float | None = None,
) -> Outcome:
    position_mm = 500.0 * frame_id if position_mm is None else position_mm
    reasons = () if decision is Decision.ACCEPT else ("why",)
    verdict = Verdict(camera, frame_id, 0, position_mm, None, decision, reasons, defects, "r@1", "e@1",
                      ingest_epoch=epoch)  # fmt: skip
    return Outcome(verdict, total_ms=total_ms)


def test_uninspected_is_reject_at_the_gate(desk: Desk) -> None:
    """The gate gets a reject with a flag that says that the frame was not inspected."""
    desk.give([outcome(0), outcome(1, Decision.REJECT), outcome(2, Decision.UNINSPECTED)])
    records = heard(list(desk.gate.blocks))
    assert [record.action for record in records] == [Action.ACCEPT, Action.REJECT, Action.REJECT]
    assert [record.uninspected for record in records] == [False, False, True]
    assert [record.position_mm for record in records] == [0.0, 500.0, 1000.0]


@pytest.mark.parametrize("encoder", [True, False])
def test_no_accept_without_a_position_from_the_encoder(desk: Desk, encoder: bool) -> None:
    """A position counted from frames may be another steel's; a line without an encoder has no other one."""
    feed = GateFeed(desk.gate, ["top"], RECIPE, LATE_MS, clock_ns=lambda: desk.now_ns, encoder=encoder)
    given = [placed(0)]
    for number, place in enumerate((StripPlace(Motion.UNKNOWN), msgspec.UNSET), 1):
        verdict = msgspec.structs.replace(outcome(number).verdict, strip=place)
        given.append(Outcome(verdict, total_ms=20.0))
    feed.turn(given, pending=0, silent=False)
    records = tuple(reversed(desk.gate.blocks[-1].records))
    assert [record.action is Action.ACCEPT for record in records] == [True, not encoder, not encoder]
    assert [record.unplaced for record in records] == [False, encoder, encoder]
    assert decode(encode(desk.gate.blocks[-1])) == desk.gate.blocks[-1]
    assert feed.state().unplaced == 2 * encoder


def placed(frame_id: int, zero: int | None = 1, gap_mm: float = 0.0, camera: str = "top") -> Outcome:
    place = StripPlace(Motion.RUNNING, 5000.0, gap_mm=gap_mm, length_mm=500.0)
    verdict = msgspec.structs.replace(outcome(frame_id, camera=camera).verdict, strip=place)
    return Outcome(verdict, total_ms=20.0, zero=zero)


def test_steel_that_no_frame_shows_is_a_missing_verdict(desk: Desk, tmp_path: Path) -> None:
    """It has a reject of its own, so that the PLC takes no accept for it; the noise of the positions has none."""
    feed = GateFeed(
        desk.gate, ["top"], RECIPE, LATE_MS, GateLog(tmp_path), clock_ns=lambda: desk.now_ns, encoder=True
    )
    feed.turn([placed(0), placed(1), placed(2, gap_mm=300.0), placed(3, gap_mm=14.0)], pending=0, silent=False)
    records = tuple(reversed(desk.gate.blocks[-1].records))
    assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
    assert [record.action is Action.ACCEPT for record in records] == [True, True, False, True, True]
    assert [record.position_mm for record in records] == [0.0, 500.0, 700.0, 1000.0, 1500.0]
    assert feed.counts.taken == 4
    feed.turn([placed(number, gap_mm=300.0) for number in range(4, 20)], pending=0, silent=False)
    while feed.waiting:
        feed.turn([], pending=0, silent=False)
    assert [record.sequence for record in heard(list(desk.gate.blocks)[1:])] == list(range(1, 38))
    feed.close()
    line = msgspec.json.decode((tmp_path / GATE_LOG_NAME).read_bytes().partition(b"\n")[0], type=GateLine)
    assert (line.first_sequence, [frame[2] for frame in line.frames]) == (1, [0, 1, -1, 2, 3])


def test_frames_without_a_position_are_one_reject_until_there_is_one(desk: Desk) -> None:
    """Counted positions run on while the strip stands: their rejects must not."""
    feed = GateFeed(desk.gate, ["top"], RECIPE, LATE_MS, clock_ns=lambda: desk.now_ns, encoder=True)
    lost = [placed(number, zero=None) for number in range(1, 4)]
    lost = [
        Outcome(msgspec.structs.replace(each.verdict, strip=StripPlace(Motion.UNKNOWN)), total_ms=20.0)
        for each in lost
    ]
    feed.turn([placed(0), *lost, placed(4)], pending=0, silent=False)
    records = tuple(reversed(desk.gate.blocks[-1].records))
    assert [record.position_mm for record in records] == [0.0, 500.0, 500.0, 500.0, 2000.0]


def test_another_zero_of_the_positions_is_another_run(desk: Desk) -> None:
    """A frame of the zero before is no accept any more, whichever camera it comes from."""
    feed = GateFeed(desk.gate, ["top", "bottom"], RECIPE, LATE_MS, clock_ns=lambda: desk.now_ns, encoder=True)
    feed.turn([placed(0), placed(0, camera="bottom")], pending=0, silent=False)
    before = desk.gate.blocks[-1]
    feed.turn([placed(1, zero=2), placed(1, camera="bottom"), placed(2, zero=2)], pending=0, silent=False)
    after = desk.gate.blocks[-1]
    assert after.run != before.run
    assert [record.action for record in reversed(after.records)] == [Action.ACCEPT, Action.REJECT, Action.ACCEPT]


def test_verdicts_come_in_order_and_once_whatever_their_number(desk: Desk) -> None:
    """Verdicts of two cameras, more than one block holds, arrive once and in order."""
    given = 0
    for count in (1, RECORDS, 3 * RECORDS + 5, 0, 2):
        indices = range(given, given + count)
        desk.give([outcome(index, camera=("top", "bottom")[index % 2]) for index in indices])
        given += count
    while desk.feed.waiting:
        desk.turn()
    total = 1 + RECORDS + 3 * RECORDS + 5 + 2
    assert [record.sequence for record in heard(list(desk.gate.blocks))] == list(range(1, total + 1))
    assert desk.feed.counts.taken == total


def test_a_turn_writes_once_however_many_verdicts_come(desk: Desk) -> None:
    """A turn waits for at most one answer; further verdicts are sent in the next turns."""
    written = len(desk.gate.blocks)
    desk.give([outcome(index, total_ms=LATE_MS - 30) for index in range(3 * RECORDS)])
    assert (len(desk.gate.blocks), desk.feed.waiting) == (written + 1, 2 * RECORDS)
    desk.turn(20_000_000)
    desk.turn(20_000_000)
    assert (len(desk.gate.blocks), desk.feed.waiting) == (written + 3, 0)
    late = [record.late for record in heard(list(desk.gate.blocks))]
    assert late == [False] * 2 * RECORDS + [True] * RECORDS
    assert desk.feed.counts.longest_ms == 40


def test_verdicts_that_cannot_wait_are_missed_and_the_gate_rejects(desk: Desk) -> None:
    """The oldest verdicts are missed: a gap in the numbers, and a fault that lasts long enough to be seen."""
    desk.give([outcome(index) for index in range(WAITING + 5)])
    records = heard(list(desk.gate.blocks))
    assert [record.sequence for record in records] == list(range(6, 6 + RECORDS))
    assert desk.gate.blocks[-1].fault == Fault.MISSED
    assert desk.feed.counts.missed == 5
    while desk.feed.waiting:
        desk.turn(FAULT_HOLD_NS // 100)
        assert desk.gate.blocks[-1].fault == Fault.MISSED
    desk.turn(FAULT_HOLD_NS)
    assert desk.gate.blocks[-1].fault == Fault(0)
    assert desk.feed.counts.taken == WAITING


def test_a_gate_that_fails_leaves_nothing_waiting(desk: Desk) -> None:
    """After a failed write all queued verdicts would be too late, so they count as missed."""
    desk.gate.reachable = False
    desk.give([outcome(index) for index in range(3 * RECORDS)])
    assert (desk.feed.waiting, desk.feed.counts.missed) == (0, 3 * RECORDS)
    desk.gate.reachable = True
    desk.give([outcome(3 * RECORDS)])
    assert desk.gate.blocks[-1].records[0].sequence == 3 * RECORDS + 1


def test_a_verdict_that_comes_too_late_is_marked(desk: Desk) -> None:
    """Lateness is the age of the frame; a frame of unknown capture time is late."""
    desk.give([outcome(0, total_ms=LATE_MS), outcome(1, total_ms=LATE_MS + 1), outcome(2, total_ms=None)])
    assert [record.late for record in heard(list(desk.gate.blocks))] == [False, True, True]
    assert desk.feed.counts.late == 2


def test_the_class_is_that_of_the_largest_defect_that_rejects(desk: Desk) -> None:
    """A larger defect that is only recorded does not count, and an accept has class 0."""
    both = (defect(1, 10), defect(2, 500))
    desk.give([outcome(0, Decision.REJECT, defects=both), outcome(1, defects=(defect(2, 500),))])
    assert [record.kind for record in heard(list(desk.gate.blocks))] == [1, 0]


def test_a_class_keeps_its_number_when_an_engine_numbers_it_otherwise(desk: Desk) -> None:
    """After a swap classes keep the numbers of the engine that decide started with."""
    swapped = (defect(2, 10, "pits"), defect(1, 500, "stains"))
    desk.give([outcome(0, Decision.REJECT, defects=swapped)])
    assert desk.gate.blocks[-1].records[0].kind == 1


def test_what_the_gate_missed_is_a_gap_and_never_comes_later(desk: Desk) -> None:
    """Missed verdicts are counted, leave a gap in the numbers and raise a fault."""
    desk.give([outcome(0)])
    desk.gate.reachable = False
    desk.give([outcome(1), outcome(2)])
    desk.give([outcome(3)])
    desk.gate.reachable = True
    desk.give([outcome(4)])
    assert [record.sequence for record in heard(list(desk.gate.blocks))] == [1, 5]
    assert [record.sequence for record in desk.gate.blocks[-1].records] == [5]
    assert desk.gate.blocks[-1].fault == Fault.MISSED
    assert (desk.feed.counts.taken, desk.feed.counts.missed, desk.feed.counts.breaks) == (2, 3, 1)
    desk.turn(FAULT_HOLD_NS - 1)
    assert desk.gate.blocks[-1].fault == Fault.MISSED
    desk.turn(BEAT_NS)
    assert desk.gate.blocks[-1].fault == Fault(0)


def test_the_heartbeat_moves_with_verdicts_and_with_verified_idleness(desk: Desk) -> None:
    """The heartbeat moves with nothing pending and every camera reporting, so standstill is not a dead line."""
    before = desk.heartbeat
    desk.give([outcome(0)])
    assert desk.heartbeat == before + 1
    desk.turn(BEAT_NS)
    assert desk.heartbeat == before + 2
    desk.turn(BEAT_NS - 1)
    assert desk.heartbeat == before + 2, "not more often than its pace"


@pytest.mark.parametrize("state", [{"pending": 3}, {"silent": True}, {"pending": 3, "silent": True}])
def test_the_heartbeat_stands_still_when_verdicts_stop(desk: Desk, state: dict[str, int]) -> None:
    """With pending frames or a silent camera the heartbeat stands still."""
    before = desk.heartbeat
    for _ in range(50):
        desk.turn(BEAT_NS, **state)  # type: ignore[arg-type]
    assert desk.heartbeat == before


def test_a_gate_that_goes_while_nothing_moves_is_found_out(desk: Desk) -> None:
    """Without verdicts the gate is still written to, so a lost gate is noticed."""
    desk.turn(silent=True)
    before, written = desk.heartbeat, len(desk.gate.blocks)
    desk.turn(BEAT_NS, silent=True)
    assert (desk.heartbeat, len(desk.gate.blocks)) == (before, written + 1)
    desk.gate.reachable = False
    desk.turn(BEAT_NS, pending=1, silent=True)
    assert not desk.feed.taking


def test_a_run_has_another_number_than_the_one_before_it() -> None:
    """A run that equals the one in the registers is replaced, because the PLC would ignore its first verdicts."""
    desk = Desk()
    drawn = desk.feed._run
    desk.gate.run_before = drawn
    desk.turn()
    begun = desk.gate.blocks[-1].run
    assert 1 <= begun <= 65_535
    assert begun != drawn
    desk.gate.run_before = begun
    desk.give([outcome(0)])
    assert desk.gate.blocks[-1].run == begun


def test_verdicts_of_one_camera_do_not_vouch_for_another(desk: Desk) -> None:
    """If one camera is silent, its fault is raised, and the other's verdicts do not move the heartbeat."""
    desk.turn(BEAT_NS, silent=True)
    assert desk.gate.blocks[-1].fault == Fault.CAMERA_SILENT
    before = desk.heartbeat
    desk.give([outcome(0)], silent=True)
    assert desk.heartbeat == before
    assert desk.gate.blocks[-1].records[0].sequence == 1
    desk.turn(BEAT_NS)
    assert desk.gate.blocks[-1].fault == Fault(0)
    assert desk.heartbeat == before + 1


def test_an_end_in_order_is_told(desk: Desk) -> None:
    """At an orderly end the queued verdicts are sent, then STOPPED."""
    desk.give([outcome(index) for index in range(2 * RECORDS)])
    desk.feed.close()
    assert len(heard(list(desk.gate.blocks))) == 2 * RECORDS
    assert desk.gate.blocks[-1].fault == Fault.STOPPED


def test_before_any_camera_is_heard_of_the_gate_rejects() -> None:
    """The gate has a fault until every camera has reported."""
    desk = Desk()
    desk.give([outcome(0)], silent=True)
    assert desk.gate.blocks[-1].fault == Fault.CAMERA_SILENT
    assert desk.heartbeat == 0


def test_numbers_wrap_without_the_one_that_means_nothing(desk: Desk) -> None:
    """After 2³² − 1 comes 1; the heartbeat has 16 bits; a position beyond the scale stays at its end."""
    desk.feed._sequence, desk.feed._heartbeat = 2**32 - 2, 2**16 - 1
    desk.give([outcome(10**8), outcome(1, camera="bottom")])
    newest = desk.gate.blocks[-1]
    assert [record.sequence for record in newest.records] == [1, 2**32 - 1]
    assert newest.heartbeat == 0
    words = encode(newest)
    assert len(words) == REGISTERS
    assert all(0 <= word < 2**16 for word in words)


def test_an_ingest_that_starts_again_begins_a_new_run(desk: Desk) -> None:
    """Its positions restart: under the old run number a PLC would pass steel by accepts of other steel."""
    desk.give([outcome(5, epoch=1), outcome(5, camera="bottom", epoch=1)])
    run = desk.gate.blocks[-1].run
    desk.give(
        [outcome(6, Decision.UNINSPECTED, epoch=1), outcome(0, epoch=2), outcome(6, camera="bottom", epoch=1)]
    )
    while desk.feed.waiting:
        desk.turn()
    told = [
        (block.run, record.sequence, record.camera) for block in desk.gate.blocks for record in block.records[:1]
    ]
    assert (run, 3, 1) in told, "frames pending of the old ingest are told in its run"
    last = desk.gate.blocks[-1]
    assert last.run == run + 1
    assert [(record.sequence, record.camera) for record in last.records] == [(2, 2), (1, 1)]


def test_a_run_begins_also_where_its_first_verdicts_were_missed(desk: Desk) -> None:
    """The new run begins even if its first verdicts were missed."""
    desk.give([outcome(5, epoch=1)])
    run = desk.gate.blocks[-1].run
    desk.gate.reachable = False
    desk.give([outcome(0, epoch=2)])
    desk.gate.reachable = True
    desk.give([outcome(1, epoch=2)])
    assert desk.gate.blocks[-1].run == run + 1


def test_a_verdict_behind_its_camera_is_missed(desk: Desk) -> None:
    """A verdict of a replaced ingest or a gap is missed, because its position means old steel."""
    desk.give([outcome(5, epoch=2)])
    desk.give([outcome(9, Decision.UNINSPECTED, epoch=1), outcome(4, Decision.UNINSPECTED, epoch=2)])
    desk.turn(BEAT_NS)
    assert [record.position_mm for record in heard(list(desk.gate.blocks))] == [2500.0]
    assert desk.feed.counts.missed == 2
    assert desk.gate.blocks[-1].fault == Fault.MISSED
    desk.give([outcome(6, epoch=2)])
    assert desk.gate.blocks[-1].records[0].sequence == 4


def test_a_refused_message_is_a_fault(desk: Desk) -> None:
    """Frames in the refused message may never get a verdict."""
    desk.feed.turn([], pending=0, silent=False, refused=True)
    assert desk.gate.blocks[-1].fault == Fault.REFUSED
    desk.turn()
    assert desk.gate.blocks[-1].fault == Fault(0)


def test_what_the_gate_was_told_is_on_record(tmp_path: Path) -> None:
    """gate.jsonl has one line per write: run, first sequence, frames, and whether the gate confirmed it."""
    gate = MemoryGate()
    feed = GateFeed(gate, ["top"], RECIPE, LATE_MS, GateLog(tmp_path))
    feed.turn([outcome(0, epoch=7), outcome(1, epoch=7)], pending=0, silent=False)
    gate.reachable = False
    feed.turn([outcome(2, epoch=7)], pending=0, silent=False)
    feed.close()
    decoder = msgspec.json.Decoder(GateLine)
    lines = [decoder.decode(line) for line in (tmp_path / GATE_LOG_NAME).read_bytes().splitlines()]
    assert [(line.run, line.first_sequence, line.taken) for line in lines] == [
        (gate.blocks[0].run, 1, True), (gate.blocks[0].run, 3, False),
    ]  # fmt: skip
    assert [line.frames for line in lines] == [(("top", 7, 0), ("top", 7, 1)), (("top", 7, 2),)]


def test_a_line_that_a_kill_tore_costs_no_other_line(tmp_path: Path) -> None:
    """The next decide removes the partial line, and its own first line stays readable."""
    (tmp_path / GATE_LOG_NAME).write_bytes(b'{"told_ns": 1, "run": 1, "first_se')
    feed = GateFeed(MemoryGate(), ["top"], RECIPE, LATE_MS, GateLog(tmp_path))
    feed.turn([outcome(0, epoch=7)], pending=0, silent=False)
    feed.close()
    [line] = (tmp_path / GATE_LOG_NAME).read_bytes().splitlines()
    assert msgspec.json.decode(line, type=GateLine).frames == (("top", 7, 0),)


def test_a_verdict_that_no_log_has_waits_for_it(desk: Desk) -> None:
    """The memory for the journal is full: verdicts are told once the disk has them, in order, and time alone
    moves nothing."""
    desk.unkept = 2
    desk.give([outcome(0, total_ms=0), outcome(1, total_ms=0)])
    before = desk.heartbeat
    desk.turn(BEAT_NS)
    assert (heard(list(desk.gate.blocks)), desk.heartbeat, desk.feed.ready) == ([], before, 0)
    desk.unkept = 1
    desk.turn()
    assert [record.position_mm for record in heard(list(desk.gate.blocks))] == [0.0]
    desk.unkept = 0
    desk.turn()
    assert [record.position_mm for record in heard(list(desk.gate.blocks))] == [0.0, 500.0]
    assert desk.feed.counts.missed == 0


def test_a_verdict_that_gets_into_no_log_in_time_is_missed(desk: Desk) -> None:
    """If the log cannot be written in time, the gate gets a fault instead of an accept."""
    desk.unkept = 2
    desk.give([outcome(0, total_ms=LATE_MS - 50), outcome(1, total_ms=LATE_MS - 50)])
    desk.turn(60_000_000)
    assert (desk.feed.waiting, desk.feed.counts.missed) == (0, 2)
    assert desk.gate.blocks[-1].fault & Fault.MISSED
    desk.unkept = 0
    desk.give([outcome(2)])
    assert [record.sequence for record in heard(list(desk.gate.blocks))] == [3]


def test_verdicts_that_are_lost_to_the_log_are_never_told(desk: Desk) -> None:
    """Verdicts that neither journal nor log has are never sent."""
    desk.feed.turn([outcome(0), outcome(1)], pending=0, silent=False, kept=False)
    assert heard(list(desk.gate.blocks)) == []
    assert desk.gate.blocks[-1].fault & Fault.MISSED


def test_an_end_waits_for_the_log_too(desk: Desk) -> None:
    """At the end, verdicts that the log does not have in time are missed."""
    desk.unkept = 1
    desk.give([outcome(0), outcome(1)])
    clock_ns = iter(range(10**13, 10**15, 100_000_000))
    desk.feed._clock_ns = lambda: next(clock_ns)
    desk.feed.close()
    assert [record.position_mm for record in heard(list(desk.gate.blocks))] == [0.0]
    assert desk.feed.counts.missed == 1


@pytest.mark.parametrize("jump_mm", [2.0**31, -(2.0**31), 1e12])
def test_a_position_that_jumps_beyond_the_scale_begins_a_new_run(desk: Desk, jump_mm: float) -> None:
    """After a jump of the position, the steel in between must not count as inspected."""
    desk.give([outcome(0), outcome(1, position_mm=jump_mm)])
    desk.turn()
    records = [
        (block.run, [record.position_mm for record in block.records]) for block in list(desk.gate.blocks)[-2:]
    ]
    assert records[0][1] == [0.0]
    assert records[1][1] == [jump_mm]
    assert records[0][0] != records[1][0]
