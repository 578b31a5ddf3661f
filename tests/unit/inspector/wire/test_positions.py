"""Positions that outlive an ingest."""

from pathlib import Path

import pytest

from inspector.wire.positions import WRITE_NS, Place, PlaceFile, newest_place


def test_an_ingest_that_starts_again_counts_on_where_the_strip_is(tmp_path: Path):
    """By the newest position of any camera of the line, moved on at the strip's speed."""
    assert newest_place(tmp_path, ["top", "bottom"]) is None
    top, bottom = PlaceFile(tmp_path, "top"), PlaceFile(tmp_path, "bottom")
    top.keep(100.0, 10**9)
    bottom.keep(0.0, 10**9)
    bottom.keep(500.0, 2 * 10**9)
    top.close()
    bottom.close()
    place = newest_place(tmp_path, ["top", "bottom", "new"])
    assert place == Place(500.0, 2 * 10**9, 500.0 / 10**9)
    assert place.at(3 * 10**9) == pytest.approx(1000.0)


def test_positions_are_kept_a_few_times_a_second(tmp_path: Path):
    """At 500 frames/s a write for each would cost more than it tells."""
    file = PlaceFile(tmp_path, "top")
    file.keep(1.0, 10**9)
    file.keep(2.0, 10**9 + WRITE_NS - 1)
    assert newest_place(tmp_path, ["top"]).position_mm == 1.0
    file.keep(3.0, 10**9 + WRITE_NS)
    assert newest_place(tmp_path, ["top"]).position_mm == 3.0
    file.close()


def test_a_damaged_file_is_no_place(tmp_path: Path):
    """The strip then counts from 0."""
    (tmp_path / "position-top").write_bytes(b"short")
    assert newest_place(tmp_path, ["top"]) is None
