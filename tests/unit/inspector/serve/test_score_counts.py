"""Scores and brightness that the page counts, and what another threshold would have done with them."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.core.rules import BoundRecipe, score_thresholds
from inspector.errors import WorkError
from inspector.serve.score_counts import BINS, ScoreCounts, drift, score_bins
from inspector.serve.store import VERSION, Store
from inspector.values import Decision
from inspector.wire.view import ViewMessage
from tests.support.recorded import defect, verdict

NAMES = ("normal", "scratches", "pits")
RECIPE = BoundRecipe(
    "r@1",
    NAMES,
    (False, True, False),
    (0.0, 1.0, 1.0),
    score_thresholds(NAMES, {"scratches": 0.5, "pits": 0.5}),
    1,
    1,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "page")


def seen(frame_id: int, peaks: tuple[int, ...], grey: int = 100, **more: Any) -> ViewMessage:
    found = [defect("a")] if max(peaks, default=0) >= 128 else []
    pixels = np.full((8, 16), grey, np.uint8)
    return ViewMessage(verdict(frame_id, *found, **more), pixels, np.zeros_like(pixels), peaks)


def test_frames_are_counted_by_their_highest_score(store: Store) -> None:
    """Accepted frames count for every kind, rejected ones only for the rejecting kind, uninspected ones never."""
    looks = ScoreCounts(store, RECIPE)
    looks.take(seen(1, (0, 90)))
    looks.take(seen(2, ()))
    looks.take(seen(3, (200, 90)))
    looks.take(ViewMessage(verdict(4)))
    gone: dict[str, Any] = {"decision": Decision.UNINSPECTED, "reasons": ("no result",), "codes": ("overdue",)}
    looks.take(seen(5, (), **gone))
    looks.count({"top": (100, 5, 1)})
    looks.count({"top": (150, 7, 2)})
    looks.count({"top": (10, 0, 0)})  # decide began again
    looks.write(now=True)
    bins = score_bins(store, 1)
    assert {key: bins[key] for key in ("accepted", "rejected", "seen_accepted", "seen_rejected")} == {
        "accepted": 50, "rejected": 2, "seen_accepted": 2, "seen_rejected": 1,
    }  # fmt: skip
    assert {kind: np.flatnonzero(each).tolist() for kind, each in bins["clean"].items()} == {1: [0], 2: [0, 22]}
    assert {kind: np.flatnonzero(each).tolist() for kind, each in bins["alone"].items()} == {1: [50]}
    assert all(len(each) == BINS for each in bins["clean"].values())


def test_counts_go_on_in_the_same_ten_minutes(store: Store) -> None:
    """Counts continue after a restart of the page; an empty period changes nothing."""
    for grey in (100, 140):
        looks = ScoreCounts(store, RECIPE)
        looks.take(seen(1, (0, 51), grey))
        looks.write(now=True)
        looks.write(now=True)
    [point] = drift(store, 1)[-1:]
    assert point["peak"] == pytest.approx(0.2)
    if len(drift(store, 1)) == 1:  # else the clock passed ten minutes in between
        assert point["grey"] == 120
        assert sum(score_bins(store, 1)["clean"][2]) == 2


def test_a_locked_store_costs_no_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written with the next."""
    looks = ScoreCounts(store, RECIPE)
    looks.take(seen(1, (0, 51), 100))
    with sqlite3.connect(store.file) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("inspector.serve.store.BUSY_S", 0.05)
        with pytest.raises(WorkError):
            looks.write(now=True)
    connection.close()
    looks.take(seen(2, (0, 51), 140))
    looks.write(now=True)
    assert sum(score_bins(store, 1)["clean"][2]) == 2


def test_a_dimmed_lamp_shows(store: Store) -> None:
    """One point per camera and stretch of time, at most as many as asked for."""
    looks = ScoreCounts(store, RECIPE)
    looks.take(seen(1, ()))
    looks.write(now=True)
    with sqlite3.connect(store.file) as connection:
        for back in range(1, 300):
            connection.execute(
                "INSERT INTO looks SELECT began_s - ?, camera, 90, 8, 2, 50, 10, ?, 5, scores FROM looks "
                "WHERE began_s = (SELECT MAX(began_s) FROM looks)",
                (600 * back, 60 * (100 + back)),
            )
    connection.close()
    points = drift(store, 48)
    assert 140 < len(points) <= 200
    assert points[0]["grey"] > 300
    assert points[0]["rejected"] / points[0]["frames"] == 0.08
    assert len(drift(store, 1)) <= 7


def test_a_store_of_the_version_before_gets_the_new_tables(store: Store) -> None:
    """Accounts and reviews are kept."""
    with sqlite3.connect(store.file) as connection:
        connection.execute("INSERT INTO accounts VALUES ('kim', 'viewer', 'x', 1)")
        connection.execute("DROP TABLE looks")
        connection.execute("DROP TABLE plan_changes")
        connection.execute("ALTER TABLE alarms DROP COLUMN times")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    again = Store(store.folder)
    assert drift(again, 1) == []
    with again.reading() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert connection.execute("SELECT name FROM accounts").fetchone()[0] == "kim"
