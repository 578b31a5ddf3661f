"""Positions that outlive an ingest."""

from pathlib import Path

import pytest

from inspector.wire.positions import FRESH_NS, SPEED_NS, STANDSTILL_NS, WRITE_NS, Place, PlaceFile, newest_place

S = 10**9
CAMERAS = ["top", "bottom"]


def run(file: PlaceFile, seconds: float, *, since: int = 10 * S) -> int:
    """Frames of 50 a second at 1 m/s; returns when the last one came."""
    for index in range(int(50 * seconds) + 1):
        file.keep(1000.0 * index / 50, since + index * S // 50)
    return since + int(50 * seconds) * S // 50


def test_a_camera_starts_where_the_others_say_the_strip_is(tmp_path: Path) -> None:
    """At the time of its first frame, not of its start: a camera that boots takes seconds."""
    bottom, top = PlaceFile(tmp_path, "bottom", CAMERAS), PlaceFile(tmp_path, "top", CAMERAS)
    assert top.start_mm(10 * S) == 0.0
    end = run(bottom, 3.0)
    assert top.start_mm(end + S // 100) == pytest.approx(3010.0)


def test_a_restart_counts_on_at_the_strips_speed(tmp_path: Path) -> None:
    """It is the only camera, and was away for two seconds."""
    end = run(PlaceFile(tmp_path, "top", CAMERAS), 3.0)
    assert PlaceFile(tmp_path, "top", CAMERAS).start_mm(end + 2 * S) == pytest.approx(5000.0)


def test_a_strip_that_stands_is_where_it_stood(tmp_path: Path) -> None:
    """However long it stands, an ingest that restarts meanwhile begins there."""
    bottom = PlaceFile(tmp_path, "bottom", CAMERAS)
    end = run(bottom, 3.0)
    for step in range(1, 50):
        bottom.stands(end + step * STANDSTILL_NS // 5)
    assert PlaceFile(tmp_path, "top", CAMERAS).start_mm(end + 10 * S) == pytest.approx(3000.0)


def test_a_burst_is_no_fast_strip(tmp_path: Path) -> None:
    """Frames that waited while ingest was stopped come at once: the speed is measured over a second."""
    file = PlaceFile(tmp_path, "top", CAMERAS)
    end = run(file, 3.0)
    for index in range(40):  # 0.8 s of strip within 40 ms
        file.keep(3000.0 + 20.0 * index, end + S * 8 // 10 + index * S // 1000)
    place = newest_place(tmp_path, CAMERAS, end + S)
    assert place is not None
    assert place.mm_per_ns * S == pytest.approx(1000.0, rel=0.05)


def test_an_old_position_is_not_moved_on(tmp_path: Path) -> None:
    """The strip may have stopped or changed speed since."""
    end = run(PlaceFile(tmp_path, "top", CAMERAS), 2 * SPEED_NS / S)
    assert PlaceFile(tmp_path, "top", CAMERAS).start_mm(end + FRESH_NS) == pytest.approx(2000.0)


def test_a_position_of_before_a_reboot_is_none(tmp_path: Path) -> None:
    """The monotonic clock began again: on a disk, the file of before is still there."""
    run(PlaceFile(tmp_path, "top", CAMERAS), 1.0, since=500 * S)
    assert newest_place(tmp_path, CAMERAS, 5 * S) is None


def test_positions_are_kept_a_few_times_a_second(tmp_path: Path) -> None:
    """At 500 frames/s a write for each would cost more than it tells."""
    file = PlaceFile(tmp_path, "top", CAMERAS)
    file.keep(1.0, S)
    file.keep(2.0, S + WRITE_NS - 1)
    assert newest_place(tmp_path, CAMERAS, 2 * S) == Place(1.0, S, 0.0)
    file.keep(3.0, S + WRITE_NS)
    assert newest_place(tmp_path, CAMERAS, 2 * S) == Place(3.0, S + WRITE_NS, 0.0)
    file.close()


def test_a_damaged_file_is_no_place(tmp_path: Path) -> None:
    """The strip then counts from 0."""
    (tmp_path / "position-top").write_bytes(b"short")
    assert newest_place(tmp_path, CAMERAS, S) is None
