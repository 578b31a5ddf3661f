"""Events: each gets the coil and the place of the strip at its time, and is on the map of its coil."""

import time
from pathlib import Path

import pytest

from inspector.serve.events import (
    Place,
    add_event,
    add_placed_event,
    coil_events,
    events,
    place_event,
    placed_events,
    unplaced,
)
from inspector.serve.live import Live
from inspector.serve.store import Store
from inspector.wire.view import ViewMessage
from tests.support.recorded import verdict

NOW = Place("C-7", 5_000.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "page")


def place_of(store: Store) -> tuple[str | None, float | None]:
    [event] = events(store, 1)
    return event["coil"], event["position_mm"]


def test_an_event_gets_the_present_place_unless_it_is_about_another_coil(store: Store) -> None:
    """Its own position wins; another coil's place is not known."""
    add_placed_event(store, "note", "", "kim", NOW)
    assert place_of(store) == ("C-7", 5_000.0)
    add_placed_event(store, "note", "", "kim", NOW, "C-7")
    assert place_of(store) == ("C-7", 5_000.0)
    add_placed_event(store, "note", "", "kim", NOW, "C-5")
    assert place_of(store) == ("C-5", None)
    add_placed_event(store, "note", "", "kim", NOW, None, 10.0)
    assert place_of(store) == (None, 10.0)
    add_placed_event(store, "note", "", "kim", None)
    assert place_of(store) == (None, None)


def test_the_place_is_where_the_strip_was_at_that_time() -> None:
    """The end of the newest frame before it; a restarted ingest begins new positions."""
    live = Live(["top"], 128.0)
    assert live.place(time.time_ns()) is None
    for n in range(4):
        live.take(ViewMessage(verdict(n, ingest_epoch=1), None, None))
    first = verdict(0).captured_ns
    assert live.place(verdict(2).captured_ns + 1) == Place("C-1", 3 * 128.0)
    assert live.place(verdict(9).captured_ns) == Place("C-1", 4 * 128.0)
    assert live.place(first - 1) is None
    assert live.since_ns() == first
    live.take(ViewMessage(verdict(5, ingest_epoch=2, position_mm=0.0, coil="C-2"), None, None))
    assert live.place(verdict(9).captured_ns) == Place("C-2", 128.0)
    assert live.since_ns() == verdict(5).captured_ns


def test_an_event_of_a_command_is_placed_later(store: Store) -> None:
    """While its place is known; one about a coil stays as it is."""
    number = add_event(store, "note", "", "kim", None, None)
    add_event(store, "note", "", "kim", "C-5", None)
    [(found, at_ns)] = unplaced(store)
    assert found == number
    assert abs(at_ns - time.time_ns()) < 10 * 10**9
    place_event(store, number, NOW)
    assert unplaced(store) == []
    assert [each["id"] for each in placed_events(store, 10, 0)] == [number]
    assert placed_events(store, 10, time.time_ns()) == []


def test_a_coil_has_the_events_of_its_time_and_the_later_ones_about_it(store: Store) -> None:
    """Neither those before it, nor those of another coil, nor those of a later coil of the same name."""
    began_ns = time.time_ns()
    texts = [("on it", NOW), ("elsewhere", Place("C-8", 1.0)), ("no coil", Place(None, 1.0))]
    for text, place in texts:
        add_placed_event(store, "note", text, "kim", place)
    ended_ns = time.time_ns()

    def found(from_ns: int, to_ns: int, coil: str | None = "C-7") -> list[str]:
        summary = {"coil": coil, "from_ns": from_ns, "to_ns": to_ns}
        return [each["text"] for each in coil_events(store, summary, 10)]

    assert found(began_ns, ended_ns) == ["on it"]
    assert found(began_ns, ended_ns, None) == ["no coil"]
    assert found(ended_ns + 1, ended_ns + 2) == []
    minute = 60 * 10**9
    assert found(began_ns - 2 * minute, began_ns - minute) == []
    add_event(store, "note", "about it", "kim", "C-7", None)
    assert found(began_ns - 2 * minute, began_ns - minute) == ["about it"]
