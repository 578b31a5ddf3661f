"""The ledger: one verdict a frame, in order, in time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.ledger import LOST_ANNOUNCEMENT, MAX_GAP, MAX_LOST, CameraLedger, Settled
from inspector.values import Code, Uninspected

DEADLINE_NS = 1_000
SHED = Uninspected(Code.SHED, "shed")
STOPPED = Uninspected(Code.STOPPED, "stopped")


def ledger() -> CameraLedger[str, str]:
    return CameraLedger(DEADLINE_NS)


def settle_all(book: CameraLedger[str, str], now_ns: int) -> list[Settled[str, str]]:
    settled = []
    while (each := book.settle(now_ns)) is not None:
        settled.append(each)
    return settled


def test_results_settle_in_frame_order() -> None:
    """A result that overtakes another waits for the frame before it."""
    book = ledger()
    book.announce(0, "a", 0)
    book.announce(1, "b", 0)
    book.result(1, "second")
    assert book.settle(1) is None
    book.result(0, "first")
    assert [(each.frame_id, each.result) for each in settle_all(book, 1)] == [(0, "first"), (1, "second")]


def test_deadline_makes_a_frame_uninspected() -> None:
    """A frame without a result at its deadline is settled with the reason, and not before."""
    book = ledger()
    book.announce(0, "a", 500)
    assert book.settle(500 + DEADLINE_NS - 1) is None
    (settled,) = settle_all(book, 500 + DEADLINE_NS)
    assert settled.result is None
    assert settled.fault == Uninspected(Code.OVERDUE, "no result within 0.001 ms")


def test_late_result_is_counted_and_changes_nothing() -> None:
    """A result that comes after its frame's verdict is late."""
    book = ledger()
    book.announce(0, "a", 0)
    book.settle(DEADLINE_NS)
    book.result(0, "too late")
    assert book.late == 1
    assert book.settle(2 * DEADLINE_NS) is None


@pytest.mark.parametrize("settle", [settle_all, lambda book, now: book.close(STOPPED, now)])
def test_a_result_that_is_seen_after_the_deadline_is_late_however_it_came(settle: Any) -> None:
    """After decide was away, announcement and result come together: the steel has gone by all the same."""
    book = ledger()
    book.announce(0, "a", 0)
    book.result(0, "in time, but nobody was there")
    (settled,) = settle(book, DEADLINE_NS)
    assert settled.result is None
    assert settled.fault
    assert book.late == 1


def test_result_may_overtake_its_announcement() -> None:
    """A result may arrive before its announcement, because they travel on different links; it then counts."""
    book = ledger()
    assert not book.result(0, "early")
    book.announce(0, "a", 0, result="early")
    (settled,) = settle_all(book, 0)
    assert (settled.announcement, settled.result) == ("a", "early")


def test_lost_announcements_are_owed_a_verdict() -> None:
    """A gap in the frame ids becomes uninspected frames."""
    book = ledger()
    book.announce(2, "c", 0)
    book.end(4, 0, "end")
    settled = settle_all(book, DEADLINE_NS)
    assert [each.frame_id for each in settled] == [0, 1, 2, 3]
    assert [each.fault for each in settled[:2]] == [LOST_ANNOUNCEMENT] * 2
    assert [each.shown_by for each in settled] == ["c", "c", None, "end"]


def test_a_repeated_id_is_refused() -> None:
    """It cannot unbalance the ledger."""
    book = ledger()
    book.announce(0, "a", 0)
    with pytest.raises(ValueError, match="announced before"):
        book.announce(0, "a", 0)
    assert len(book) == 1


def test_a_long_gap_delays_no_frame_that_passes_now() -> None:
    """The verdicts of its frames are given in pieces, and results find their frames meanwhile."""
    book = ledger()
    book.announce(0, "a", 0)
    after = MAX_GAP + 5
    book.announce(after, "z", 0)
    book.result(0, "first")
    book.result(after, "last")
    assert [(each.frame_id, each.result) for each in settle_all(book, 1)] == [(0, "first"), (after, "last")]
    lost = [each for count in (3, MAX_GAP, 10) for each in book.lost(count)]
    assert [each.frame_id for each in lost] == list(range(1, after))
    assert {(each.fault, each.shown_by) for each in lost} == {(LOST_ANNOUNCEMENT, "z")}
    assert (len(book), book.skipped) == (0, 0)


def test_a_broken_id_fills_no_memory() -> None:
    """In an impossibly long gap the newest frames get verdicts, and the others are only counted."""
    book = ledger()
    book.announce(2**60, "z", 0)
    assert book.skipped == 2**60 - MAX_LOST
    (first,) = book.lost(1)
    assert first.frame_id == 2**60 - MAX_LOST
    book.announce(2**60 + 1, "z", 0)
    assert book.expected == 2**60 + 2


def test_a_result_beats_a_fault() -> None:
    """A frame that has both a result and a fault was inspected after all."""
    book = ledger()
    book.announce(0, "a", 0)
    book.fault(0, SHED)
    book.result(0, "seen")
    (settled,) = settle_all(book, 0)
    assert (settled.result, settled.fault) == ("seen", None)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("announce"), st.integers(0, 3)),
            st.tuples(st.just("result"), st.integers(0, 30)),
            st.tuples(st.just("fault"), st.integers(0, 30)),
            st.tuples(st.just("settle"), st.integers(0, 2000)),
        ),
        max_size=60,
    )
)
def test_every_frame_is_settled_exactly_once_and_in_order(events: Any) -> None:
    """Whatever happens in whatever order, ids come out without gap or repetition."""
    book, settled = ledger(), []
    for now, (what, value) in enumerate(events):
        if what == "announce":
            book.announce(book.expected + value, "frame", now)
        elif what == "result":
            book.result(value, "result")
        elif what == "fault":
            book.fault(value, SHED)
        else:
            settled += settle_all(book, now + value)
    captured = book.expected
    settled += book.close(STOPPED, 0)
    assert [each.frame_id for each in settled] == list(range(captured))
    assert all((each.result is None) != (each.fault is None) for each in settled)
