"""A tracking PLC passes no steel that a frame was rejected for, and none that no frame shows, in any order."""

from collections.abc import Iterable

import pytest

from inspector.core.strip.odometer import Speeds
from inspector.core.strip.track import Coverage
from inspector.core.verdicts import Outcome
from inspector.sinks.gate.feed import GateFeed
from inspector.sinks.gate.steel import MOST_PIECES, CameraSteel, Piece
from inspector.values import Decision, Verdict
from tests.support.memory_gate import MemoryGate
from tests.support.tracking_plc import BIN_MM, TrackingPlc
from tests.unit.inspector.sinks.test_gate_feed import RECIPE

FRAME_MM = 256.0


class Line:
    """One camera's frames by their place on the strip, and the PLC that hears of them."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.gate, self.plc = MemoryGate(), TrackingPlc(20_000.0, 10**9)
        self.feed = GateFeed(self.gate, ["top"], RECIPE, 200.0, clock_ns=lambda: self.now_ns, encoder=True)
        self._coverage = Coverage(Speeds())
        self._frames = self._heard = 0
        self._turn([])

    def show(self, *places_mm: float, rejected: Iterable[float] = (), speed_mm_s: float = 20_000.0) -> None:
        """Capture frames whose first rows lie here, in this order."""
        for place_mm in places_mm:
            mark = self._coverage.mark(place_mm, FRAME_MM, speed_mm_s)
            decision = Decision.REJECT if place_mm in rejected else Decision.ACCEPT
            reasons = ("why",) if decision is Decision.REJECT else ()
            verdict = Verdict(
                "top", self._frames, 0, place_mm, None, decision, reasons, (), "r@1", "e@1", strip=mark
            )
            self._frames += 1
            self.now_ns += 13_000_000
            self._turn([Outcome(verdict, total_ms=20.0, zero=1)])

    def _turn(self, outcomes: list[Outcome]) -> None:
        self.feed.turn(outcomes, pending=0, silent=False)
        for block in list(self.gate.blocks)[self._heard :]:
            self.plc.hear(self.now_ns, block)
        self._heard = len(self.gate.blocks)

    def would_pass(self, from_mm: float, to_mm: float) -> float:
        """Length of steel between two places that the PLC would let pass, mm."""
        # Pieces that lie wholly inside.
        pieces = range(int(-(-from_mm // BIN_MM)), int(to_mm // BIN_MM))
        return float(BIN_MM * sum(map(self.plc.lets_pass, pieces)))


def steps(from_mm: float, to_mm: float, step_mm: float = FRAME_MM) -> list[float]:
    count = round((to_mm - from_mm) / step_mm)
    return [from_mm + step_mm * number for number in range(count)]


def test_undisturbed_steel_passes_but_for_the_rejected_frame() -> None:
    """What the cases below are measured against."""
    line = Line()
    line.show(*steps(0, 10_240), rejected=[5120.0])
    assert line.would_pass(5120, 5376) == 0
    assert line.would_pass(0, 9984) > 9984 - 256 - 3 * BIN_MM


def test_a_frame_rejected_in_reverse_travel_is_not_passed_on_the_way_forward() -> None:
    """It was accepted before and is accepted afterwards: the verdicts of a weak defect differ."""
    line = Line()
    line.show(*steps(0, 10_240))
    line.show(*reversed([5150.0 + each for each in steps(0, 5120)]), rejected=[5150.0], speed_mm_s=-5000.0)
    line.show(*steps(5300, 12_980))
    assert line.would_pass(5300, 5406) == 0
    assert line.would_pass(5406 + BIN_MM, 9984) > 4500


def test_a_frame_rejected_at_the_turn_is_not_passed_by_the_next_pass() -> None:
    """No verdict lies ahead of it, so that its record stands for no steel."""
    line = Line()
    line.show(*steps(0, 10_240), rejected=[9984.0])
    line.show(*reversed(steps(7936, 9984)), speed_mm_s=-5000.0)
    line.show(*steps(7936, 12_032))
    assert line.would_pass(9984, 10_240) == 0


def test_a_rejected_frame_that_overlaps_others_is_rejected_as_a_whole() -> None:
    """A free-running camera on a slow strip: ten frames show the same steel, one of them sees the defect."""
    line = Line()
    line.show(*steps(0, 10_400, 32), rejected=[5216.0], speed_mm_s=2000.0)
    assert line.would_pass(5216, 5472) == 0
    assert line.would_pass(0, 10_300) > 10_300 - 256 - 3 * BIN_MM


def test_a_standing_strip_that_was_rejected_once_does_not_pass() -> None:
    """The camera goes on; the noise of one frame was a defect."""
    line = Line()
    line.show(*steps(0, 5120))
    line.show(5120.0, rejected=[5120.0], speed_mm_s=0.0)
    line.show(*[5120.0] * 20, speed_mm_s=0.0)
    line.show(*steps(5376, 10_240))
    assert line.would_pass(5120, 5376) == 0


def test_frames_out_of_order_pass_nothing_that_was_rejected() -> None:
    """The third of four comes before the second."""
    line = Line()
    line.show(*steps(0, 5120), 5376.0, 5120.0, *steps(5632, 10_240), rejected=[5376.0])
    assert line.would_pass(5376, 5632) == 0


def test_steel_that_the_second_pass_does_not_show_is_not_passed() -> None:
    """Its rejects were missed by the gate; the camera gives no frame for a while on the way forward again."""
    line = Line()
    line.show(*steps(0, 10_240))
    line.gate.reachable = False
    bad = steps(10_240, 15_360)
    line.show(*bad, rejected=bad)
    line.gate.reachable = True
    line.show(*reversed(steps(7680, 15_360)), speed_mm_s=-5000.0)
    line.show(*steps(7680, 10_240), *steps(12_800, 20_480))
    assert line.would_pass(10_240, 15_360) == 0


@pytest.mark.parametrize("gap_mm", [56.0, 30.0])
def test_small_gaps_add_up(gap_mm: float) -> None:
    """A camera too slow for the strip leaves a gap before every frame, each within the noise of the times."""
    line = Line()
    places = steps(0, 20_000, FRAME_MM + gap_mm)
    line.show(*places)
    unseen = sum(line.would_pass(each + FRAME_MM, each + FRAME_MM + gap_mm) for each in places[5:-1])
    assert unseen == 0


def test_the_noise_of_the_times_is_no_gap() -> None:
    """Places that are off by up to 3 ms of strip, in turns, with frames that adjoin."""
    line = Line()
    line.show(*(each + (28, -28, 10, 0)[number % 4] for number, each in enumerate(steps(0, 20_480))))
    assert all(not record.uninspected for block in line.gate.blocks for record in block.records)


def test_a_long_stretch_of_bad_steel_is_remembered_to_its_end() -> None:
    """It is longer than what is remembered behind the strip's place."""
    steel = CameraSteel()
    for number in range(2000):
        steel.reject(FRAME_MM * number, FRAME_MM)
    assert steel.pieces(FRAME_MM * 1300, FRAME_MM) == [Piece(FRAME_MM * 1300, rejected=True)]
    steel.reject(FRAME_MM * 4000, FRAME_MM)
    assert steel.pieces(FRAME_MM * 1300, FRAME_MM) == [Piece(FRAME_MM * 1300, rejected=False)]


def test_a_frame_of_many_pieces_is_rejected_as_a_whole() -> None:
    """Its records must fit into one write."""
    steel = CameraSteel()
    for place_mm in range(0, 250, 50):
        steel.reject(place_mm, 20.0)
    assert steel.pieces(0.0, FRAME_MM) == [Piece(0.0, rejected=True)]
    steel.forget()
    assert steel.pieces(0.0, FRAME_MM) == [Piece(0.0, rejected=False)]
    steel.reject(100.0, 50.0)
    pieces = steel.pieces(0.0, FRAME_MM)
    assert pieces == [Piece(0.0, rejected=False), Piece(100.0, rejected=True), Piece(150.0, rejected=False)]
    assert len(pieces) <= MOST_PIECES
