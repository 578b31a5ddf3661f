"""Counts of captured frames that outlive the processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from inspector.errors import WorkError
from inspector.wire.captures import (
    INGESTS,
    CaptureCount,
    captured_by_ingests,
    confirm,
    confirmed,
    forget_confirmed,
)
from inspector.wire.messages import End


def test_a_count_outlives_its_ingest(tmp_path: Path) -> None:
    """Another process can read it although its writer never closed it."""
    count = CaptureCount(tmp_path, "top", 7)
    count.keep(3, 11, -4.5, 64)
    count.keep(4, 12, 27.5, 64)
    assert captured_by_ingests(tmp_path, "top") == [End("top", 7, 4, 12, 27.5, 64)]
    assert captured_by_ingests(tmp_path, "bottom") == []


def test_the_newest_ingests_are_kept(tmp_path: Path) -> None:
    """Each takes the place of the oldest; one that captured nothing leaves no count."""
    for epoch in range(1, INGESTS + 6):
        count = CaptureCount(tmp_path, "top", epoch)
        if epoch % 2:
            count.keep(epoch, 0, 0.0, 8)
        count.close()
    epochs = [end.ingest_epoch for end in captured_by_ingests(tmp_path, "top")]
    assert epochs == [epoch for epoch in range(1, INGESTS + 6) if epoch % 2]


def test_counts_of_before_a_restart_of_the_pc_give_way_first(tmp_path: Path) -> None:
    """In a folder on a disk they outlive the clock that gave their epochs: today's come first."""
    for epoch in [*range(1_000, 1_000 + INGESTS), *range(1, 1 + INGESTS)]:
        count = CaptureCount(tmp_path, "top", epoch)
        count.keep(epoch, 0, 0.0, 8)
        count.close()
    assert [end.ingest_epoch for end in captured_by_ingests(tmp_path, "top")] == list(range(1, 1 + INGESTS))


def test_a_torn_file_is_no_error(tmp_path: Path) -> None:
    """A torn file, or one of another version, counts as empty."""
    CaptureCount(tmp_path, "top", 7).keep(3, 11, 0.0, 64)
    path = tmp_path / "news" / "captured-top"
    path.write_bytes(path.read_bytes()[:55])
    assert len(captured_by_ingests(tmp_path, "top")) == 1


def test_full_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error at the start, not a SIGBUS later."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(WorkError, match="captured-top: No space left on device: free some memory"):
        CaptureCount(tmp_path, "top", 7)


def test_an_end_is_confirmed_to_its_ingest_only(tmp_path: Path) -> None:
    """An earlier one of the same camera, or of an earlier replay, does not count."""
    CaptureCount(tmp_path, "top", 7)
    assert not confirmed(tmp_path, "top", 7)
    confirm(tmp_path, End("top", 7, 0, 0, 0.0, 8))
    assert confirmed(tmp_path, "top", 7)
    assert not confirmed(tmp_path, "top", 8)
    forget_confirmed(tmp_path, ["top", "bottom"])
    assert not confirmed(tmp_path, "top", 7)


_WRITER = """
import sys
from pathlib import Path
from inspector.wire.captures import CaptureCount
count = CaptureCount(Path(sys.argv[1]), "top", 7)
for captured in range(1, 10**9):
    count.keep(captured, captured, 1.0, 64)
    if captured == 1:
        print("counts", flush=True)
"""


def test_a_reader_beside_the_writer_always_finds_the_record(tmp_path: Path) -> None:
    """A kill in the middle of a write leaves a record, too: frames of an ingest without one have no verdict."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            found = {len(captured_by_ingests(tmp_path, "top")) for _ in range(20_000)}
        finally:
            writer.kill()
    assert found == {1}
