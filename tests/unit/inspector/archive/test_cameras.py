"""Cameras of the archive: names of coils, frames that were missed, and a disk that fails."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

from inspector.archive.camera import MISSED, CameraArchive
from inspector.archive.coils import CoilFolders, kept_coils, name_in_folder
from inspector.archive.process import PAUSE_S, Archive
from inspector.config.line import load_config
from inspector.sources.recording.source import RecordingSource
from inspector.values import Announcement, Capture
from tests.support.lines import LineUnderTest

START_NS = 10**18
FRAME_NS = 10**8
PIXELS = np.zeros((16, 32), np.uint8)


def announced(number: int, coil: str = "C-1") -> Announcement:
    at_ns = START_NS + number * FRAME_NS
    return Announcement("top", 1, number, at_ns, at_ns, 10.0 * number, 16, coil)


def archived(archive: Path) -> list[Capture]:
    captures: list[Capture | None] = []
    for path in sorted(archive.glob("*/top/??????")):
        with RecordingSource(path) as source:
            captures += list(source.captures())
    return [each for each in captures if each is not None]


@pytest.mark.parametrize("coil", ["C" * 128, "Ö" * 40, "é" * 64, "板" * 30, "a/%41 b", "..", "x" * 237 + "Ö"])
def test_every_name_of_a_coil_has_a_folder(tmp_path: Path, coil: str) -> None:
    """The same one after a restart; a long name is cut and stays apart from its like."""
    for _ in range(2):
        camera = CameraArchive("top", 0.5, CoilFolders(tmp_path))
        camera.take(announced(0, coil), PIXELS)
        camera.close()
    (kept,) = kept_coils(tmp_path)
    assert sorted(each.name for each in (kept.folder / "top").iterdir()) == ["000001", "000002"]
    assert name_in_folder(coil + "2") != name_in_folder(coil)
    assert kept.coil == coil or (len(kept.name) > 200 and coil.startswith(kept.coil.partition("~")[0]))


@pytest.mark.parametrize("name", ["000001 copy", "12", "000001.old", "00000١"])
def test_other_folders_beside_a_recording_are_left_alone(tmp_path: Path, name: str) -> None:
    """An operator's copy is no recording of the coil."""
    folders = CoilFolders(tmp_path)
    folders.segment("C-1", "top", START_NS).mkdir(parents=True)
    (folders.segment("C-1", "top", START_NS).parent / name).mkdir()
    assert folders.segment("C-1", "top", START_NS).name == "000002"


def test_missed_frames_lie_between_their_neighbours(tmp_path: Path) -> None:
    """In time and on the strip: a replay would otherwise give them the time of the replay."""
    camera = CameraArchive("top", 0.5, CoilFolders(tmp_path))
    for number in (0, 1, 5):
        camera.take(announced(number), PIXELS)
    camera.take(announced(6), None)
    camera.close()
    captures = archived(tmp_path)
    assert [each.captured_ns for each in captures] == [START_NS + n * FRAME_NS for n in range(7)]
    assert [each.position_mm for each in captures] == [10.0 * n for n in range(7)]
    assert [each.fault == MISSED for each in captures] == [n in (2, 3, 4, 6) for n in range(7)]
    assert camera.missed == 3


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    line = LineUnderTest(tmp_path)
    line.write_config('[archive]\nmax_gb = 1.0\nfolder = "archive"\nleast_free_gb = 0.000001\n')
    (tmp_path / "archive").mkdir()
    archive = Archive(load_config(line.config).line, tmp_path / "archive", 0.5)
    yield archive
    archive.close()


def test_a_folder_that_goes_and_comes_costs_frames_and_no_process(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in the log; every frame that is not archived is counted once."""
    now_s = 1e6
    monkeypatch.setattr("inspector.archive.process.time.monotonic", lambda: now_s)
    folder = tmp_path / "archive"
    with structlog.testing.capture_logs() as logs:
        for number in range(60):
            if number == 10:
                shutil.rmtree(folder)
            if number == 40:
                folder.mkdir()
            archive.take(announced(number), PIXELS)
            now_s += PAUSE_S / 4
            archive.turn()
            assert folder.exists() or 10 <= number < 40
    lines = [line for line in logs if "until its folder can be written again" in line["event"]]
    assert 1 <= len(lines) <= 2
    assert str(folder) in lines[0]["error"]
    archive.close()
    assert archive.written + archive.missed == 60
    assert 10 <= archive.written - 10 <= 20
    whole = [each for each in archived(folder) if each.fault is None]
    assert len(whole) == archive.written - 10
