"""The verdict log of a service: full files are moved aside, none of it is lost, and a successor goes on."""

from pathlib import Path

import pytest

from inspector.sinks.verdict_log import Rotation, VerdictLog, full_files, last_frames, read_verdicts
from inspector.values import Decision, Verdict


def verdict(frame_id: int, camera: str = "top") -> Verdict:
    return Verdict(
        camera=camera, frame_id=frame_id, captured_ns=1, position_mm=0.0, coil=None, decision=Decision.ACCEPT,
        reasons=(), defects=(), recipe="r@1", engine="e@1", stage_ms={}, file=None,
    )  # fmt: skip


def write(log: VerdictLog, *frames: int, camera: str = "top") -> None:
    for frame_id in frames:
        log.write(verdict(frame_id, camera))
        log.flush()


def frames_on_record(folder: Path) -> list[int]:
    paths = [*full_files(folder), folder / "verdicts.jsonl"]
    return [each.frame_id for path in paths for each in read_verdicts(path)]


def test_every_verdict_is_in_one_of_the_files(tmp_path: Path):
    """In order, over any number of files."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=600, keep=100))
    write(log, *range(20))
    log.close()
    assert frames_on_record(tmp_path) == list(range(20))
    assert len(full_files(tmp_path)) > 3
    assert all(path.stat().st_size < 1200 for path in full_files(tmp_path))


def test_only_the_newest_full_files_are_kept(tmp_path: Path):
    """The disk of a service that runs for months does not fill."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=1, keep=3))
    write(log, *range(8))
    log.close()
    assert [path.name for path in full_files(tmp_path)] == [f"verdicts-{n:06d}.jsonl" for n in (6, 7, 8)]
    assert frames_on_record(tmp_path) == [5, 6, 7]


def test_a_successor_counts_its_files_on(tmp_path: Path):
    """By their numbers: a clock that was set back overwrites nothing."""
    for start in (0, 3):
        log = VerdictLog(tmp_path, Rotation(file_bytes=1, keep=100))
        write(log, *range(start, start + 3))
        log.close()
    assert frames_on_record(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_a_run_keeps_one_file(tmp_path: Path):
    """Without a rotation nothing is moved."""
    log = VerdictLog(tmp_path)
    write(log, *range(50))
    log.close()
    assert full_files(tmp_path) == []


def test_the_last_frame_of_each_camera_is_found_behind_a_new_file(tmp_path: Path):
    """A restart just after a file was moved aside owes no frame twice."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=500, keep=100))
    write(log, 7, camera="side")
    write(log, *range(4))
    log.close()
    assert (tmp_path / "verdicts.jsonl").stat().st_size < 500
    assert last_frames(tmp_path, ["top", "side"]) == {"top": 3, "side": 7}
    assert last_frames(tmp_path, ["top", "side", "new"]) == {"top": 3, "side": 7}


def test_a_file_that_cannot_be_moved_grows(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A folder that takes no new name costs no verdict."""
    log = VerdictLog(tmp_path / "out", Rotation(file_bytes=1, keep=3))
    write(log, 0)
    (tmp_path / "out" / "verdicts-000002.jsonl").mkdir()
    (tmp_path / "out" / "verdicts-000001.jsonl").unlink()
    (tmp_path / "out" / "verdicts-000002.jsonl" / "in the way").touch()
    write(log, 1, 2)
    log.close()
    assert [each.frame_id for each in read_verdicts(tmp_path / "out" / "verdicts.jsonl")] or full_files(
        tmp_path / "out"
    )
