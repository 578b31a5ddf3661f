"""Counts that frames carry: from the camera's ingest over the strip process back to the frame's place."""

import itertools
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inspector.core.strip.odometer import Odometer, Scale, Speeds
from inspector.strip.camera_position import CameraSource
from inspector.wire.encoder_count import FILE_NAME, CountWriter, read_count
from inspector.wire.strip_files import StripReader, TrackWriter

SCALE = Scale(0.5, 2.0**32)
STEP_NS = 25_000_000


class Plant:
    """One camera's ingest and the strip process, without threads or clocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader = StripReader(folder, Speeds(), carried=SCALE)
        self.track = TrackWriter(folder)
        self.odometer = Odometer(SCALE, Speeds())
        self.source = CameraSource(folder, triggered=False).readings()
        self.now_ns = time.monotonic_ns() - 60_000_000_000

    def frame(self, count: int | None, *, strip_runs: bool = True) -> tuple[float, str]:
        """(position, motion) of the next frame, 25 ms after the one before."""
        self.now_ns += STEP_NS
        found = self.reader.locate(self.now_ns, 100.0, -1.0, count)
        if strip_runs and count is not None:
            reading = next(each for each in self.source if each is not None)
            sample = self.odometer.add(reading)
            assert sample is not None
            self.track.add(sample, self.odometer.count)
        return found.position_mm, found.mark.motion


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_the_first_frame_is_counted_and_the_next_ones_lie_at_their_counts(plant: Plant) -> None:
    """A wrap of the counter and reverse travel change nothing."""
    assert plant.frame(2**32 - 100) == (-1.0, "unknown")
    assert plant.frame(2**32 - 20)[0] == 40.0
    assert plant.frame(60)[0] == 80.0
    for _ in range(4):
        plant.frame(60)
    assert plant.frame(20)[0] == 60.0
    assert plant.frame(2**32 - 20) == (40.0, "reverse")


def test_places_go_on_by_counts_while_the_strip_process_is_away(plant: Plant) -> None:
    """For minutes, at a speed that changes, and the speed is measured from the frames."""
    counts = itertools.count(1000, 100)
    for _ in range(10):
        plant.frame(next(counts))
    for number in range(400):
        position_mm, motion = plant.frame(next(counts), strip_runs=False)
        assert position_mm == 50.0 * (10 + number)
    assert motion == "running" or motion == "threading"
    stood = [plant.frame(1000 + 409 * 100, strip_runs=False) for _ in range(5)]
    assert stood[-1][1] == "standing"


def test_a_jump_is_one_line_and_the_next_frames_follow_the_strip_process(plant: Plant) -> None:
    """A camera that was switched off counts from 0 again."""
    for count in range(1_000_000, 1_001_000, 100):
        plant.frame(count)
    with capture_logs() as logged:
        before_mm, _ = plant.frame(1_001_000)
        jumped_mm, _ = plant.frame(0)
        after_mm = [plant.frame(count)[0] for count in (100, 200, 300)]
    assert [line["event"] for line in logged if "jumped" in line["event"]] == [
        "the encoder count jumped: frames are placed by time until the strip process has followed it"
    ]
    assert jumped_mm == pytest.approx(before_mm + 50.0, abs=15.0)
    # Of the frame between, nobody can say where it lies.
    assert after_mm == pytest.approx([-1.0, before_mm + 150.0, before_mm + 200.0], abs=30.0)
    assert after_mm[2] - after_mm[1] == 50.0


def test_a_frame_without_its_count_is_placed_by_time_and_told_once(plant: Plant) -> None:
    """The camera's chunks were switched off."""
    for count in range(0, 1000, 100):
        plant.frame(count)
    with capture_logs() as logged:
        places_mm = [plant.frame(None)[0] for _ in range(3)]
    assert places_mm == pytest.approx([500.0, 550.0, 600.0], abs=1.0)
    assert [line["event"][:42] for line in logged] == ["a frame carries no encoder count: its plac"]


def test_a_torn_record_and_one_of_before_a_restart_are_left_out(tmp_path: Path) -> None:
    """The reader keeps what it had."""
    writer = CountWriter(tmp_path)
    writer.keep(time.monotonic_ns() + 3600 * 10**9, 5)
    source = CameraSource(tmp_path, triggered=True).readings()
    assert next(source) is None
    writer.keep(time.monotonic_ns(), 6)
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-1] + b"\0")
    assert read_count(tmp_path) is None
    (tmp_path / FILE_NAME).write_bytes(whole)
    reading = next(source)
    assert reading is not None
    assert reading.count == 6.0
    writer.close()


@pytest.mark.parametrize("triggered", [True, False])
def test_silence_of_a_triggered_camera_is_standstill(tmp_path: Path, triggered: bool) -> None:
    """For a free-running camera it is not."""
    writer = CountWriter(tmp_path)
    writer.keep(time.monotonic_ns(), 7)
    source = CameraSource(tmp_path, triggered=triggered).readings()
    assert next(source) is not None
    later = [next(source) for _ in range(4)]
    assert [each and each.speed_mm_s for each in later][-1] == (0.0 if triggered else None)
    writer.close()
