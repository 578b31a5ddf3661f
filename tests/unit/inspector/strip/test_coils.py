"""Coils, their journal, the choice of plans, and what may not be said of a coil."""

from typing import Any

import pytest

from inspector.config.level2 import CoilRegisters
from inspector.core.strip.choice import PlanChoice, choose
from inspector.core.strip.coils import CoilData, EventRefusedError
from inspector.core.strip.odometer import Speeds
from inspector.strip.coil_events import CoilEvents
from inspector.strip.coil_registers import CoilRegistersThread
from inspector.strip.journal import Journal
from inspector.wire.strip_files import StripReader, TrackWriter

PLANS = (
    PlanChoice("deep-drawing", "dd@1", grades=("DC0*", "DX5*")),
    PlanChoice("acme", "acme@1", grades=("S355*",), customers=("ACME",)),
    PlanChoice("trial", "trial@1"),
)


@pytest.fixture
def made(tmp_path: Any) -> Any:
    """A coil_events, ingest's reader, and the strip's position."""
    place = {"mm": 0.0}
    folder = tmp_path / "strip"
    track = TrackWriter(tmp_path)
    journal = Journal(folder)
    coil_events = CoilEvents(journal, track, lambda: place["mm"], PLANS, "default@1", 0.0)
    return coil_events, StripReader(tmp_path, Speeds()), place, folder


def test_a_frame_gets_the_coil_of_its_place(made: Any) -> None:
    """Two coils in a row, then none; the position counts from the head."""
    coil_events, reader, place, _ = made
    coil_events.start(CoilData("A", grade="DC04"), "command")
    place["mm"] = 1000.0
    coil_events.start(CoilData("B"), "command")
    place["mm"] = 1500.0
    coil_events.end("B", "command")
    found = [reader.locate(0, 100.0, at_mm) for at_mm in (0.0, 999.0, 1000.0, 1499.0, 1500.0, -1.0)]
    assert [each.coil for each in found] == ["A", "A", "B", "B", None, None]
    assert [each.plan for each in found] == ["dd@1", "dd@1", "default@1", "default@1", "", ""]
    # Of two coils in one frame, both plans judge it.
    assert [each.next_plan for each in found] == ["", "default@1", "", "", "", "dd@1"]
    assert found[3].mark.coil_mm == 499.0


@pytest.mark.parametrize(
    ("event", "why", "again"),
    [
        (("start", "A", 2000.0), "on the line already", True),
        (("start", "", 2000.0), "without an id", False),
        (("start", "B", 500.0), "before the end", False),
        (("end", "X", 2000.0), "but coil A is on the line", False),
        (("end", "Z", 2000.0), "has ended already", True),
        (("end", "A", 900.0), "before its head", False),
    ],
)
def test_an_event_that_cannot_be_is_one_line_and_changes_nothing(
    made: Any, event: Any, why: Any, again: Any
) -> None:
    """A repeated id, another id, positions that run backwards, and a repeated telegram."""
    coil_events, _, place, _ = made
    coil_events.start(CoilData("Z"), "command")
    place["mm"] = 1000.0
    coil_events.start(CoilData("A"), "command")
    kind, coil, at_mm = event
    before = coil_events.coils
    with pytest.raises(EventRefusedError, match=why) as refused:
        coil_events.start(CoilData(coil), "level2", at_mm) if kind == "start" else coil_events.end(
            coil, "level2", at_mm
        )
    assert refused.value.again is again
    assert coil_events.coils == before


@pytest.mark.parametrize("at_mm", [50_000_000.0, -200_000_000.0])
def test_a_place_far_from_the_strip_is_refused(made: Any, at_mm: float) -> None:
    """A wrong place far ahead would otherwise refuse every coil until the strip is there."""
    coil_events, _, place, _ = made
    place["mm"] = 50_000.0
    with pytest.raises(EventRefusedError, match=r"but the strip is at 50\.000 m"):
        coil_events.start(CoilData("A"), "level2", at_mm)
    coil_events.start(CoilData("A"), "level2", 900_000.0)
    with pytest.raises(EventRefusedError, match="but the strip is at"):
        coil_events.end("A", "level2", at_mm)
    place["mm"] = 950_000.0
    coil_events.end("A", "level2")
    assert coil_events.start(CoilData("B"), "level2").start_mm == 950_000.0


def test_a_strip_that_goes_back_a_bit_loses_no_coil(made: Any) -> None:
    """A head that is reported then lies at the tail before it; a place that the sender states is still checked."""
    coil_events, _, place, _ = made
    coil_events.start(CoilData("A"), "command")
    place["mm"] = 51_000.0
    coil_events.end("A", "command")
    place["mm"] = 50_995.0
    with pytest.raises(EventRefusedError, match="before the end of coil A"):
        coil_events.start(CoilData("B"), "command", 50_995.0)
    assert coil_events.start(CoilData("B"), "command").start_mm == 51_000.0
    # A coil that was announced ahead says nothing about the strip.
    coil_events.start(CoilData("D"), "level2", 60_000.0)
    with pytest.raises(EventRefusedError, match="before the end of coil D"):
        coil_events.start(CoilData("E"), "command")
    with pytest.raises(EventRefusedError, match="before its head"):
        coil_events.end("", "modbus")
    place["mm"] = 61_000.0
    coil_events.start(CoilData("B"), "command")
    place["mm"] = 50_995.0
    # Now B is on the line, and the strip is behind its head.
    assert coil_events.start(CoilData("C"), "modbus").start_mm == 61_000.0
    assert coil_events.end("C", "modbus").end_mm == 61_000.0


def test_ingest_is_told_of_a_coil_as_soon_as_it_can_be(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is on the disk and confirmed; the links' folder was full for a moment."""
    coil_events, reader, _, _ = made
    with monkeypatch.context() as full:
        full.setattr(
            TrackWriter, "coils", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        coil_events.start(CoilData("A"), "level2:1")
        coil_events.turn()
    assert reader.locate(0, 100.0, 5.0).coil is None
    coil_events.turn()
    assert reader.locate(0, 100.0, 5.0).coil == "A"


def test_a_resent_end_does_not_end_the_next_coil(made: Any, tmp_path: Any) -> None:
    """A blank end means the coil on the line, so only its bytes say that it is the same telegram; also later."""
    coil_events, _, place, folder = made
    coil_events.start(CoilData("A"), "level2:1:a")
    place["mm"] = 500.0
    coil_events.end("", "level2:2:b")
    coil_events.start(CoilData("B"), "level2:3:c")
    for each in (
        coil_events,
        CoilEvents(Journal(folder), TrackWriter(tmp_path), lambda: 600.0, PLANS, "default@1", 0.0),
    ):
        with pytest.raises(EventRefusedError, match="the same telegram again") as refused:
            each.end("", "level2:2:b")
        assert refused.value.again
        assert each.coils[-1].end_mm is None
    place["mm"] = 700.0
    assert coil_events.end("", "level2:4:d").id == "B"


def test_an_end_without_a_start_is_refused(made: Any) -> None:
    """An end without a coil on the line is refused."""
    with pytest.raises(EventRefusedError, match="has not started"):
        made[0].end("A", "command")


def test_a_start_without_an_end_before_it_ends_the_coil_and_says_so(made: Any) -> None:
    """A start without an end ends the previous coil, for example after a lost telegram."""
    coil_events, _, place, _ = made
    coil_events.start(CoilData("A"), "command")
    place["mm"] = 700.0
    coil_events.start(CoilData("B"), "command")
    first = coil_events.coils[0]
    assert first.end_mm == 700.0
    assert "before coil B started" in first.end_why


def test_a_restart_knows_the_coils_and_a_torn_line_is_left_out(made: Any, tmp_path: Any) -> None:
    """Acknowledged events are kept; a torn line was not acknowledged."""
    coil_events, _, _, folder = made
    coil_events.start(CoilData("A", grade="S355", width_mm=1500.0), "level2:7:abc")
    with (folder / "coils.jsonl").open("a") as journal:
        journal.write('{"event":"end","id":"A","posi')
    again = Journal(folder)
    assert [coil.id for coil in again.book.coils] == ["A"]
    assert again.book.open is not None
    assert again.book.open.start.coil.width_mm == 1500.0
    second = CoilEvents(again, TrackWriter(tmp_path), lambda: 10.0, PLANS, "default@1", 0.0)
    with pytest.raises(EventRefusedError) as refused:
        second.start(CoilData("A"), "level2:7:abc")
    assert refused.value.again
    second.end("A", "command")
    assert Journal(folder).book.open is None


def test_a_damaged_line_of_the_journal_moves_no_number(made: Any) -> None:
    """A block that a power cut has spoilt costs its own coil, not the numbers of the others."""
    coil_events, _, place, folder = made
    for number, name in enumerate("ABC"):
        place["mm"] = 10.0 * number
        coil_events.start(CoilData(name), "command")
    path = folder / "coils.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "\0" * 40, lines[2]]) + "\n")
    again = Journal(folder)
    assert [(coil.id, coil.number) for coil in again.book.coils] == [("A", 1), ("C", 3)]
    again.close()


def test_a_plan_that_was_changed_under_a_running_coil_is_the_new_one(made: Any, tmp_path: Any) -> None:
    """After a restart with a changed plan, frames name the new one: a decide that knows another judges none of
    them."""
    coil_events, _, _, folder = made
    coil_events.start(CoilData("A", grade="DC04"), "command")
    changed = tuple(PlanChoice(each.name, each.recipe.replace("@1", "@2"), each.grades) for each in PLANS)
    again = Journal(folder)
    CoilEvents(again, TrackWriter(tmp_path), lambda: 10.0, changed, "default@2", 0.0)
    found = StripReader(tmp_path, Speeds()).locate(0, 100.0, 5.0)
    assert (found.coil, found.plan) == ("A", "dd@2")
    again.close()


def test_the_same_coil_may_come_again_later(made: Any) -> None:
    """A coil that is inspected twice is two entries with two numbers."""
    coil_events, _, place, _ = made
    coil_events.start(CoilData("A"), "level2:1:a")
    place["mm"] = 10.0
    coil_events.end("A", "level2:2:b")
    place["mm"] = 20.0
    assert coil_events.start(CoilData("A"), "level2:3:c").number == 2


@pytest.mark.parametrize(
    ("coil", "plan", "why"),
    [
        (CoilData("A", grade="dc04"), "deep-drawing", "grade dc04"),
        (CoilData("A", grade="S355MC", customer="ACME"), "acme", "grade S355MC and customer ACME"),
        (CoilData("A", grade="S355MC", customer="other"), "", "no plan for grade S355MC: the default is used"),
        (CoilData("A"), "", "no grade is stated: the default is used"),
        (CoilData("A", grade="DC04", plan="trial"), "trial", "by name"),
        (CoilData("A", grade="DC04", plan="nope"), "deep-drawing", "plan nope is not known; grade DC04"),
    ],
)
def test_the_plan_of_a_coil(coil: Any, plan: Any, why: Any) -> None:
    """By name, by grade and customer, else the default, which says so."""
    chosen = choose(coil, PLANS, "default@1")
    assert chosen.name == plan
    assert why in chosen.why


COUNTED = CoilRegisters.model_validate(
    {
        "host": "127.0.0.1",
        "first_register": 0,
        "fields": [{"name": "counter", "type": "uint16"}, {"name": "id", "type": "text", "length": 8}],
    }
)


def registers(counter: int, coil: str) -> bytes:
    return counter.to_bytes(2, "big") + coil.encode().ljust(8)


def test_registers_start_and_end_coils_once(made: Any) -> None:
    """A PLC writes its registers one by one, so content that was read only once is ignored."""
    coil_events, _, place, _ = made
    thread = CoilRegistersThread(COUNTED, coil_events)
    for at_mm, content in enumerate(
        [registers(0, "")] * 3 + [registers(1, "")] + [registers(1, "A")] * 3
        + [registers(2, "A"), registers(2, "B")] + [registers(2, "B")] * 2 + [registers(2, "")] * 2
    ):  # fmt: skip
        place["mm"] = float(at_mm)
        thread.look(content)
    assert [(coil.id, coil.start_mm, coil.end_mm) for coil in coil_events.coils] == [
        ("A", 5.0, 9.0),
        ("B", 9.0, 12.0),
    ]


def test_registers_that_a_restart_of_the_plc_cleared_end_no_coil(made: Any) -> None:
    """They are all 0 until its program writes them; an id that was empty may come again with the same counter."""
    coil_events, _, place, _ = made
    thread = CoilRegistersThread(COUNTED, coil_events)

    def read(*contents: bytes) -> None:
        for content in contents:
            for _ in range(2):
                place["mm"] += 1.0
                thread.look(content)

    read(registers(5, "A"), bytes(10), registers(5, "A"))
    assert [(coil.id, coil.end_mm) for coil in coil_events.coils] == [("A", None)]
    read(registers(5, ""), registers(5, "A"))
    assert [(coil.id, coil.end_mm is None) for coil in coil_events.coils] == [("A", False), ("A", True)]
    thread = CoilRegistersThread(COUNTED, coil_events)
    read(registers(5, "A"))
    assert len(coil_events.coils) == 2, "the process starts again"


def test_registers_without_a_counter_start_a_coil_that_comes_again(made: Any) -> None:
    """Once its id was empty, or another coil was there; not because the process starts again."""
    coil_events, _, place, _ = made
    fields = [{"name": "id", "type": "text", "length": 8}]
    settings = CoilRegisters.model_validate({"host": "127.0.0.1", "first_register": 0, "fields": fields})

    def read(thread: CoilRegistersThread, *ids: str) -> None:
        for coil in ids:
            for _ in range(2):
                place["mm"] += 1.0
                thread.look(coil.encode().ljust(8))

    read(CoilRegistersThread(settings, coil_events), "A", "", "A", "B", "A")
    assert [coil.id for coil in coil_events.coils] == ["A", "A", "B", "A"]
    coil_events.end("A", "command")
    read(CoilRegistersThread(settings, coil_events), "A")
    assert len(coil_events.coils) == 4, "a person ended it, and its registers are still there"
