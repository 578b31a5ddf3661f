"""Replays of several sources and of a folder that grows, and what a replay says it leaves out."""

import json
import signal
import time
from pathlib import Path

import cv2
import pytest

from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture
from tests.support.frames import make_frame
from tests.support.lines import PATIENCE_S, LineUnderTest, Run

SIZE = (64, 128)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> LineUnderTest:
    return LineUnderTest(tmp_path_factory.mktemp("line"), SIZE)


def test_a_list_of_recordings_is_one_replay(line: LineUnderTest, tmp_path: Path) -> None:
    """Frame ids go on; the recordings of two cameras are not one strip."""
    line.write_config()
    for name, camera in (("one", "top"), ("two", "top"), ("three", "bottom")):
        with RecordingWriter(tmp_path / name, camera) as writer:
            for number in range(4):
                writer.append(Capture(make_frame(number, *SIZE), position_mm=32.0 * number))

    def replay(second: str) -> Run:
        out = tmp_path / f"out-{second}"
        sources = (tmp_path / "one", tmp_path / second)
        return line.finish(line.start("replay", *sources, "--config", line.config, "--out", out), out)

    run = replay("two")
    assert run.code == 0, run.stderr
    assert [verdict["frame_id"] for verdict in run.verdicts] == list(range(8))
    run = replay("three")
    assert (run.code, run.verdicts) == (2, [])
    assert "recordings of cameras bottom, top: replay those of one camera at a time" in run.stderr


def test_a_growing_folder_is_followed_until_ctrl_c(line: LineUnderTest, tmp_path: Path) -> None:
    """It may be empty at the start; each new image soon gets its verdict; Ctrl-C ends it."""
    line.write_config()
    folder, out = tmp_path / "frames", tmp_path / "out"
    folder.mkdir()
    process = line.start("replay", folder, "--follow", "--config", line.config, "--out", out)
    log = out / "verdicts.jsonl"
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), make_frame(number, *SIZE))
        until_s = time.monotonic() + PATIENCE_S
        while number % 4 == 3 and (not log.exists() or log.read_bytes().count(b"\n") <= number):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until_s
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    run = line.finish(process, out)
    assert run.code == 0, run.stderr
    assert [verdict["file"] for verdict in run.verdicts] == [f"{number}.png" for number in range(12)]


def test_a_fault_at_the_head_takes_a_frames_place(line: LineUnderTest, tmp_path: Path) -> None:
    """The fault gets the height of the first readable frame, not the engine's."""
    line.write_config("[frames]\ntile = true")
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2, 5):
        cv2.imwrite(str(folder / f"{number}.png"), make_frame(number, 3 * SIZE[0], SIZE[1]))
    for number in range(2):
        (folder / f"{number}.png").write_bytes(b"torn")
    run = line.replay(folder, out=tmp_path / "out")
    assert run.decisions[:2] == ["uninspected"] * 2
    assert [verdict["position_mm"] for verdict in run.verdicts] == [3 * SIZE[0] * 0.5 * n for n in range(5)]


def test_check_and_replay_say_what_they_leave_out(line: LineUnderTest, tmp_path: Path) -> None:
    """They count other formats and subfolders, but not hidden files."""
    line.write_config()
    folder = tmp_path / "frames"
    (folder / "below").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), make_frame(number, *SIZE))
        (folder / f"._{number}.png").write_bytes(b"resource fork")
    for name in ("a.gif", "b.gif", "notes.txt"):
        (folder / name).touch()
    said = "3 files of other formats are left out (2 .gif, 1 .txt)"
    process = line.start("check", folder, "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    (found,) = [row["found"] for row in json.loads(stdout)["checks"] if row["what"] == "source"]
    assert found == f"folder, 3 frames; {said}; 1 subfolder is left out"
    run = line.replay(folder, out=tmp_path / "out")
    assert len(run.verdicts) == 3
    assert f"{folder}: {said}" in run.stderr
    assert f"{folder}: 1 subfolder is left out" in run.stderr
