"""The verdict log of a service: full files are moved aside, none of it is lost, and a successor goes on."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inspector.errors import WorkError
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.sinks.log import log_writer
from inspector.sinks.log.journal import JOURNAL_NAME, Journal
from inspector.sinks.log.log_file import LogFile
from inspector.sinks.log.verdict_log import Rotation, VerdictLog, full_files, last_places
from inspector.values import Decision, Verdict


def verdict(frame_id: int, camera: str = "top", epoch: int = 1) -> Verdict:
    return Verdict(
        camera=camera, frame_id=frame_id, captured_ns=1, position_mm=0.0, coil=None, decision=Decision.ACCEPT,
        reasons=(), defects=(), recipe="r@1", engine="e@1", stage_ms={}, file=None, ingest_epoch=epoch,
    )  # fmt: skip


def write(log: VerdictLog, *frames: int, camera: str = "top") -> None:
    for frame_id in frames:
        log.write(verdict(frame_id, camera))
        log.flush()
        until(lambda: not log.waiting)


def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.002)


def moved_aside(folder: Path) -> list[Path]:
    return full_files(folder / VERDICTS_NAME)


def frames_on_record(folder: Path) -> list[int]:
    paths = [*moved_aside(folder), folder / "verdicts.jsonl"]
    return [each.frame_id for path in paths for each in read_verdicts(path)]


def test_every_verdict_is_in_one_of_the_files(tmp_path: Path) -> None:
    """Rotated files hold every verdict once, in order."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=600, keep=100))
    write(log, *range(20))
    log.close()
    assert frames_on_record(tmp_path) == list(range(20))
    assert len(moved_aside(tmp_path)) > 3
    assert all(path.stat().st_size < 1200 for path in moved_aside(tmp_path))


def test_only_the_newest_full_files_are_kept(tmp_path: Path) -> None:
    """Only the newest full files are kept."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=1, keep=3))
    write(log, *range(8))
    log.close()
    assert [path.name for path in moved_aside(tmp_path)] == [f"verdicts-{n:06d}.jsonl" for n in (6, 7, 8)]
    assert frames_on_record(tmp_path) == [5, 6, 7]


def test_a_successor_counts_its_files_on(tmp_path: Path) -> None:
    """File numbers continue, so that a clock that was set back overwrites nothing."""
    for start in (0, 3):
        log = VerdictLog(tmp_path, Rotation(file_bytes=1, keep=100))
        write(log, *range(start, start + 3))
        log.close()
    assert frames_on_record(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_a_run_keeps_one_file(tmp_path: Path) -> None:
    """Without a rotation nothing is moved."""
    log = VerdictLog(tmp_path)
    write(log, *range(50))
    log.close()
    assert moved_aside(tmp_path) == []


def test_the_last_frame_of_each_camera_is_found_behind_a_new_file(tmp_path: Path) -> None:
    """A restart just after a rotation gives no frame a second verdict."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=500, keep=100))
    write(log, 7, camera="side")
    write(log, *range(4))
    log.close()
    assert (tmp_path / "verdicts.jsonl").stat().st_size < 500
    places = {"top": {1: 4}, "side": {1: 8}}
    assert last_places(tmp_path, ["top", "side"])[0] == places
    assert last_places(tmp_path, ["top", "side", "new"])[0] == places


def test_a_file_that_cannot_be_moved_grows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A rotation that fails costs no verdict."""
    log = VerdictLog(tmp_path / "out", Rotation(file_bytes=1, keep=3))
    write(log, 0)
    first = tmp_path / "out" / "verdicts-000001.jsonl"
    until(first.exists)  # it is moved after it was written
    (tmp_path / "out" / "verdicts-000002.jsonl").mkdir()
    first.unlink()
    (tmp_path / "out" / "verdicts-000002.jsonl" / "in the way").touch()
    write(log, 1, 2)
    log.close()
    assert [each.frame_id for each in read_verdicts(tmp_path / "out" / "verdicts.jsonl")] or moved_aside(
        tmp_path / "out"
    )


class HangingDisk:
    """A disk that blocks until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: int | None = None) -> None:
        self.goes_on = threading.Event()
        self._write = LogFile.write
        self._takes = takes
        disk = self

        def write(file: LogFile, lines: bytes) -> int:
            return disk._hang(file, lines)

        monkeypatch.setattr(LogFile, "write", write)

    def _hang(self, file: LogFile, lines: bytes) -> int:
        if self._takes is not None:
            taken, self._takes = self._takes, None
            return self._write(file, lines[:taken])
        assert self.goes_on.wait(30)
        return self._write(file, lines)


def killed(log: VerdictLog, disk: HangingDisk) -> bytes:
    """Return the journal as a kill would leave it now; its thread must not write afterwards."""
    journal = (log.path.parent / "links" / JOURNAL_NAME).read_bytes()
    disk.goes_on.set()
    log.close()
    return journal


@pytest.mark.parametrize("taken", [None, 0, 1, 100, 400])
def test_a_kill_costs_no_verdict_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int | None
) -> None:
    """Whatever part the disk had, the next decide writes the rest to the log."""
    (tmp_path / "links").mkdir()
    log = VerdictLog(tmp_path, links=tmp_path / "links")
    write(log, 0, 1)
    disk = HangingDisk(monkeypatch, taken)
    for frame_id in range(2, 12):
        log.write(verdict(frame_id))
        log.flush()
    if taken:
        size = (tmp_path / VERDICTS_NAME).stat().st_size
        until(lambda: (tmp_path / VERDICTS_NAME).stat().st_size > size or not taken, 5)
    time.sleep(0.1)
    on_disk = (tmp_path / VERDICTS_NAME).read_bytes()
    journal = killed(log, disk)
    monkeypatch.undo()
    inode = (tmp_path / VERDICTS_NAME).stat().st_ino
    (tmp_path / VERDICTS_NAME).write_bytes(on_disk)
    assert (tmp_path / VERDICTS_NAME).stat().st_ino == inode
    (tmp_path / "links" / JOURNAL_NAME).write_bytes(journal)
    successor = VerdictLog(tmp_path, links=tmp_path / "links")
    assert frames_on_record(tmp_path) == list(range(12))
    assert successor.places(["top"])[0] == {"top": {1: 12}}
    write(successor, 12)
    successor.close()
    assert frames_on_record(tmp_path) == list(range(13))


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing and flushing do not block; the lines are written when the disk recovers."""
    log = VerdictLog(tmp_path)
    disk = HangingDisk(monkeypatch)
    began_s = time.monotonic()
    for frame_id in range(200):
        log.write(verdict(frame_id))
        log.flush()
    assert time.monotonic() - began_s < 1.0
    disk.goes_on.set()
    log.close()
    assert frames_on_record(tmp_path) == list(range(200))
    assert log.lost == 0


def test_lines_for_a_full_disk_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines beyond the memory limit are counted and reported."""
    monkeypatch.setattr(log_writer, "MAX_HELD_BYTES", 1_000)

    def full(_file: LogFile, _lines: bytes) -> int:
        raise OSError(28, os.strerror(28))

    log = VerdictLog(tmp_path)
    monkeypatch.setattr(LogFile, "write", full)
    for frame_id in range(50):
        log.write(verdict(frame_id))
        log.flush()
    held = log.waiting
    assert 1 <= held < 50
    assert log.lost == 50 - held
    log.close()
    assert log.lost == 50


def test_a_deleted_log_is_put_back_with_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted log is restored with its lines, and new lines follow."""
    monkeypatch.setattr(log_writer, "SYNC_S", 0.05)
    log = VerdictLog(tmp_path)
    write(log, 0, 1, 2)
    (tmp_path / VERDICTS_NAME).unlink()
    until((tmp_path / VERDICTS_NAME).exists)
    write(log, 3)
    log.close()
    assert frames_on_record(tmp_path) == [0, 1, 2, 3]


def test_a_moved_log_keeps_its_lines_and_a_new_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As logrotate does it."""
    monkeypatch.setattr(log_writer, "SYNC_S", 0.05)
    log = VerdictLog(tmp_path)
    write(log, 0, 1)
    (tmp_path / VERDICTS_NAME).rename(tmp_path / "old.jsonl")
    until((tmp_path / VERDICTS_NAME).exists)
    write(log, 2)
    log.close()
    assert [each.frame_id for each in read_verdicts(tmp_path / "old.jsonl")] == [0, 1]
    assert frames_on_record(tmp_path) == [2]


def test_a_lost_log_invents_no_frame(tmp_path: Path) -> None:
    """If the log was lost while decide was down, the journal shows which frames have verdicts."""
    (tmp_path / "links").mkdir()
    log = VerdictLog(tmp_path, links=tmp_path / "links")
    write(log, *range(5))
    log.close()
    (tmp_path / VERDICTS_NAME).unlink()
    successor = VerdictLog(tmp_path, links=tmp_path / "links")
    assert successor.places(["top"])[0] == {"top": {1: 5}}
    successor.close()


def test_places_tell_ingests_apart(tmp_path: Path) -> None:
    """Ids of each count from 0: the one that a successor goes on with is named by its epoch."""
    log = VerdictLog(tmp_path)
    for frame_id, epoch in [(0, 1), (1, 1), (0, 2)]:
        log.write(verdict(frame_id, epoch=epoch))
    log.close()
    assert last_places(tmp_path, ["top"]) == ({"top": {1: 2, 2: 1}}, {"top": []})


def test_a_damaged_journal_stops_no_start(tmp_path: Path) -> None:
    """A damaged journal is reported, and the log counts."""
    (tmp_path / JOURNAL_NAME).write_bytes(b"\x00\x00\x00\x09" + b"noise" * 100)
    assert Journal(tmp_path).places == {}


def test_a_journal_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    """The line says what the journal may contain and what to do."""
    (tmp_path / "links" / JOURNAL_NAME).mkdir(parents=True)
    with pytest.raises(WorkError, match=r"journal: Is a directory: the journal must belong .* move it away"):
        VerdictLog(tmp_path, links=tmp_path / "links")


def test_a_journal_without_memory_costs_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full tmpfs lines go to the disk, and the journal restarts when they are there."""
    (tmp_path / "links").mkdir()
    log = VerdictLog(tmp_path, links=tmp_path / "links")
    real = os.pwrite

    def full(*_args: object) -> int:
        raise OSError(28, os.strerror(28))

    disk = HangingDisk(monkeypatch)
    monkeypatch.setattr(os, "pwrite", full)
    log.write(verdict(0))
    assert log.flush()
    assert (log.unkept, log.unsafe) == (1, True), "a kill would cost it, so the gate must wait"
    monkeypatch.setattr(os, "pwrite", real)
    disk.goes_on.set()
    until(lambda: not log.waiting)
    assert log.unkept == 0
    until(lambda: not log.unsafe)
    log.write(verdict(1))
    log.flush()
    assert log.unkept == 0
    until(lambda: not log.waiting)
    log.close()
    assert frames_on_record(tmp_path) == [0, 1]
    assert VerdictLog(tmp_path, links=tmp_path / "links").places(["top"])[0] == {"top": {1: 2}}


def left_by_a_kill(folder: Path, frames: range) -> None:
    """Verdicts that only the journal has."""
    (folder / "links").mkdir(exist_ok=True)
    log = VerdictLog(folder / "out", links=folder / "links")
    write(log, *range(frames.start))
    journal = folder / "links" / JOURNAL_NAME
    before = (folder / "out" / VERDICTS_NAME).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        disk = HangingDisk(patch)
        for frame_id in frames:
            log.write(verdict(frame_id))
        log.flush()
        kept = journal.read_bytes()
        disk.goes_on.set()
        log.close()
    with (folder / "out" / VERDICTS_NAME).open("r+b") as file:
        file.truncate(len(before))
    journal.write_bytes(kept)


def test_a_copied_log_gets_what_the_journal_has(tmp_path: Path) -> None:
    """The results were moved to a larger disk with `cp`: another file, the same lines."""
    left_by_a_kill(tmp_path, range(3, 8))
    lines = (tmp_path / "out" / VERDICTS_NAME).read_bytes()
    (tmp_path / "out" / VERDICTS_NAME).rename(tmp_path / "old.jsonl")
    (tmp_path / "out" / VERDICTS_NAME).write_bytes(lines)
    VerdictLog(tmp_path / "out", links=tmp_path / "links").close()
    assert frames_on_record(tmp_path / "out") == list(range(8))


def test_a_journal_of_another_run_goes_to_its_own_log(tmp_path: Path) -> None:
    """With another results folder, verdicts of the old run go to the old log."""
    left_by_a_kill(tmp_path, range(3, 8))
    new = VerdictLog(tmp_path / "new", links=tmp_path / "links")
    write(new, 9)
    new.close()
    assert frames_on_record(tmp_path / "new") == [9]
    assert frames_on_record(tmp_path / "out") == list(range(8))


def test_a_results_folder_that_is_removed_ends_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removed results folder is created again with its lines, and the writer continues."""
    monkeypatch.setattr(log_writer, "SYNC_S", 0.05)
    log = VerdictLog(tmp_path / "out", Rotation(file_bytes=300, keep=100))
    write(log, 0)
    shutil.rmtree(tmp_path / "out")
    log.write(verdict(1))
    log.flush()
    until((tmp_path / "out" / VERDICTS_NAME).exists)
    write(log, 2, 3)
    log.close()
    assert frames_on_record(tmp_path / "out") == [0, 1, 2, 3]
    assert log.lost == 0


def test_frames_of_a_gap_without_a_verdict_are_found(tmp_path: Path) -> None:
    """Their verdicts come in pieces beside later ones; a kill leaves holes, which a successor fills."""
    log = VerdictLog(tmp_path, Rotation(file_bytes=2_000, keep=100))
    write(log, 0, 1, 50, 51, 2, 3, 52, 53, 4, 5, 7, 54)
    log.close()
    assert len(moved_aside(tmp_path)) == 1
    assert last_places(tmp_path, ["top"]) == ({"top": {1: 55}}, {"top": [(1, 6, 7), (1, 8, 50)]})


def test_a_log_that_cannot_be_put_back_is_told_once_and_stays_unsafe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has no descriptors left and somebody removed the file: one line a minute, not one a second."""
    monkeypatch.setattr(log_writer, "SYNC_S", 0.01)
    log = VerdictLog(tmp_path, links=tmp_path)
    with capture_logs() as logs:

        def full(*_: object) -> str:
            raise OSError(24, os.strerror(24))

        with monkeypatch.context() as patch:
            patch.setattr(LogFile, "put_back", full)
            for frame_id in range(10):
                write(log, frame_id)
                time.sleep(0.02)
            until(lambda: log.unsafe)
        until(lambda: not log.unsafe)
    log.close()
    own = [entry["event"] for entry in logs if entry.get("path") == str(log.path)]
    assert own == ["log cannot be synced to the disk"]
    assert frames_on_record(tmp_path) == list(range(10))
