"""The writer of records against a real SQLite file: locked, full, gone, killed; verdicts never wait for it."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from inspector.errors import ConfigError
from inspector.repeated import Repeated
from inspector.results import read_verdicts
from inspector.sinks.records import writer
from inspector.sinks.records.import_run import import_run
from inspector.sinks.records.rows import identify_run
from inspector.sinks.records.session import Session
from inspector.sinks.records.writer import Records
from inspector.values import Decision
from tests.support.recorded import KEEP_ALL, SECOND_NS, STARTED_NS, RunOnRecord, defect, rows, verdict, wait_until

COUNT = "SELECT COUNT(*) FROM verdicts"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    run = RunOnRecord(tmp_path / "run")
    yield run
    run.close()


@contextlib.contextmanager
def locked(run: RunOnRecord) -> Iterator[None]:
    """Lock the database as another process would."""
    file = run.folder.parent / "records.sqlite"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_verdict_and_its_defects_become_rows(run: RunOnRecord) -> None:
    """Every field of a verdict has a column."""
    run.write(verdict(7, defect("top-7-1"), file="a.png"), verdict(8))
    run.settle()
    (row,) = run.rows(
        "SELECT camera, v.frame_id, captured_ns, position_mm, coil, decision, reasons, defects, file, "
        "recipes.identity, engines.identity, transfer_ms, batch_ms, engine_ms, decide_ms, total_ms, key, host "
        "FROM verdicts v JOIN recipes ON recipes.id = recipe_id JOIN engines ON engines.id = engine_id "
        "JOIN runs ON runs.id = run_id WHERE decision = 'reject'"
    )
    assert row[:6] == ("top", 7, STARTED_NS + 7 * SECOND_NS // 100, 896.0, "C-1", "reject")
    assert msgspec.json.decode(row[6]) == ["scratches 25 mm² ≥ 20"]
    assert row[7:16] == (1, "a.png", "r@1", "e@1", 0.5, 1.0, 8.5, 0.25, 10.25)
    assert row[16:] == ("run-1", run.run.host)
    (part,) = run.rows(
        "SELECT frame_id, n, defect_id, kind, name, x_px, y_px, width_px, height_px, area_px, area_mm2, "
        "across_mm, along_mm, score FROM defects"
    )
    assert part == (7, 0, "top-7-1", 1, "scratches", 4, 2, 10, 10, 100, 25.0, 20.0, 10.0, 0.75)


def test_a_defect_over_three_frames_is_one_strip_defect(run: RunOnRecord) -> None:
    """Its parts are added up; the same id after the camera counted from 0 again is another defect."""
    later = STARTED_NS + 3600 * SECOND_NS
    run.write(
        verdict(0, defect("top-0-1", 100, along_mm=100.0)),
        verdict(1, defect("top-0-1", 300, along_mm=200.0), defect("top-1-2")),
        verdict(2, defect("top-0-1", 100, along_mm=300.0)),
        verdict(3),
        verdict(0, defect("top-0-1", 50), captured_ns=later),
    )
    run.settle()
    found = run.rows(
        "SELECT defect_id, first_frame, last_frame, frames, area_px, along_mm, began_ns FROM strip_defects "
        "ORDER BY began_ns, defect_id"
    )
    assert [row[:6] for row in found] == [
        ("top-0-1", 0, 2, 3, 500, 200.0),
        ("top-1-2", 1, 1, 1, 100, 10.0),
        ("top-0-1", 0, 0, 1, 50, 10.0),
    ]
    assert found[2][6] == later


def test_frames_of_two_ingests_are_apart_and_written_once(run: RunOnRecord) -> None:
    """Frame 0 comes again when ingest starts again; the same frame handed over twice does not."""
    again = verdict(0, captured_ns=STARTED_NS + 60 * SECOND_NS)
    run.write(verdict(0), again, verdict(0), again)
    run.settle()
    assert run.rows(COUNT) == [(2,)]


def test_a_locked_database_delays_records_and_never_verdicts(run: RunOnRecord) -> None:
    """While another process holds the lock, no verdict waits; afterwards everything is recorded."""
    run.write(verdict(0))
    run.settle()
    with sqlite3.connect(run.folder.parent / "records.sqlite", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        slowest_s = 0.0
        until_s = time.monotonic() + writer.TURN_S + 3.0
        frame_id = 1
        while time.monotonic() < until_s:
            started_s = time.monotonic()
            run.write(verdict(frame_id))
            slowest_s = max(slowest_s, time.monotonic() - started_s)
            frame_id += 1
            time.sleep(0.01)
        assert run.records.waiting >= frame_id - 2
        other.execute("ROLLBACK")
    run.settle()
    assert slowest_s < 0.2
    assert run.records.lost == 0
    assert run.rows(COUNT) == [(frame_id,)]


def test_what_the_full_queue_drops_is_counted_and_said_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is limited by rows, so that a frame full of defects counts more than a clean one."""
    monkeypatch.setattr(writer, "QUEUE_ROWS", 10)
    (tmp_path / "in the way").write_text("")
    with capture_logs() as logs:
        run = RunOnRecord(tmp_path / "run", f"sqlite:///{tmp_path}/in the way/records.sqlite")
        run.write(verdict(0, *(defect(f"d{n}") for n in range(6))), *(verdict(n) for n in range(1, 10)))
        assert run.records.lost == 6
        run.close()
    assert run.records.lost == 10, "at the end, what still waits is lost as well"
    said = [entry["lost"] for entry in logs if entry["event"] == "record lost"]
    assert said == [1], "the rest is in the count at the end"
    assert [entry["event"] for entry in logs].count(
        "database cannot be written: records wait, verdicts go on"
    ) == 1
    assert logs[-1]["lost"] == 10


def test_a_deleted_database_is_created_and_filled_again(run: RunOnRecord) -> None:
    """SQLite would keep writing to the deleted file; the new one is filled from the log."""
    run.write(verdict(0, defect("top-0-1")))
    run.settle()
    with capture_logs() as logs:
        for file in run.folder.parent.glob("records.sqlite*"):
            file.unlink()
        run.write(verdict(1))
        wait_until(lambda: any("caught up with the verdict log" in each["event"] for each in logs))
        run.settle()
    assert any("the newest verdict logs are written into it" in each["event"] for each in logs)
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY frame_id") == [(0,), (1,)]
    assert run.rows("SELECT frame_id FROM defects") == [(0,)]
    assert run.records.lost == 0


def test_what_was_written_to_a_deleted_file_is_written_again(
    run: RunOnRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes while a batch is written, before the log has its verdicts on the disk."""
    run.write(verdict(0))
    run.settle()
    write = Session.write

    def unlink_first(session: Session, entries: Any) -> Any:
        monkeypatch.setattr(Session, "write", write)
        for file in run.folder.parent.glob("records.sqlite*"):
            file.unlink()
        return write(session, entries)

    monkeypatch.setattr(Session, "write", unlink_first)
    run.records.write(verdict(1))
    run.records.flush()
    run.settle()
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY frame_id") == [(0,), (1,)]
    assert run.records.lost == 0


def test_a_database_deleted_while_it_was_locked_is_filled_from_the_log(run: RunOnRecord) -> None:
    """The writer has no connection at that moment; on ext4 the new file may have the old one's inode."""
    run.write(verdict(0))
    run.settle()
    with capture_logs() as logs, locked(run):
        run.write(verdict(1))
        wait_until(lambda: any("cannot be written" in each["event"] for each in logs))
        for file in run.folder.parent.glob("records.sqlite*"):
            file.unlink()
        wait_until(lambda: any("caught up with the verdict log" in each["event"] for each in logs))
        run.settle()
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY frame_id") == [(0,), (1,)]
    assert run.records.lost == 0


def test_an_outage_soon_after_another_is_said_while_it_lasts(
    run: RunOnRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one line a minute, but a database that stays away is never away without a line."""
    monkeypatch.setattr(run.records, "_outages", Repeated(4.0))

    def outages(logs: Any) -> int:
        return sum("cannot be written" in each["event"] for each in logs)

    with capture_logs() as logs:
        for frame_id in range(2):
            with locked(run):
                run.write(verdict(frame_id))
                wait_until(lambda n=frame_id: outages(logs) > n, 15)  # type: ignore[misc]
            run.settle()
    assert outages(logs) == 2
    assert run.records.lost == 0


def test_one_verdict_the_database_refuses_costs_no_other(run: RunOnRecord) -> None:
    """A verdict that the database refuses is lost and counted; all others are recorded."""
    run.write(verdict(0), verdict(1, captured_ns=2**70), verdict(2, position_mm=float("nan")), verdict(3))
    run.settle()
    assert run.records.lost == 2
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY frame_id") == [(0,), (3,)]


def test_a_successor_catches_up_from_the_log_and_writes_nothing_twice(tmp_path: Path) -> None:
    """A restarted decide records verdicts that only the log has, once."""
    first = RunOnRecord(tmp_path / "run")
    long_one = [verdict(n, defect("top-2-1")) for n in range(2, 8)]
    first.write(verdict(0), verdict(1), *long_one[:3])
    first.settle()
    for each in long_one[3:]:
        first.log.write(each)  # and not handed over
    first.on_disk()
    second = RunOnRecord(tmp_path / "run")
    second.write(verdict(8))
    second.settle()
    second.close()
    assert second.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(n,) for n in range(9)]
    assert second.rows("SELECT first_frame, last_frame, frames FROM strip_defects") == [(2, 7, 6)]
    third = RunOnRecord(tmp_path / "run")
    third.close()
    assert third.rows(COUNT) == [(9,)]
    first.close()


def test_a_log_that_was_rotated_since_is_written_without_doubles(tmp_path: Path) -> None:
    """The last recorded frame may be in a rotated file."""
    first = RunOnRecord(tmp_path / "run")
    first.write(*(verdict(n) for n in range(5)))
    first.settle()
    first.close()
    first.log.path.rename(first.log.path.with_suffix(".1"))
    second = RunOnRecord(tmp_path / "run")
    for n in range(5, 8):
        second.log.write(verdict(n))
    second.on_disk()
    third = RunOnRecord(tmp_path / "run")
    third.close()
    second.close()
    assert third.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(n,) for n in range(8)]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.recorded import RunOnRecord, verdict
run = RunOnRecord(Path(sys.argv[1]))
for n in range(10**6):
    run.write(verdict(n))
    time.sleep(0.0005)
"""


def test_a_line_of_the_log_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    """Verdicts after a damaged block of the log are recorded."""
    first = RunOnRecord(tmp_path / "run")
    first.write(verdict(0))
    first.settle()
    first.close()
    with first.log.path.open("ab") as log:
        for n in range(1, 40):
            log.write(msgspec.json.encode(verdict(n)) + b"\n")
            log.write((b"\0" * 100, b"{}", b'"\xff\xfe"', b"[" * 10_000, b"")[n % 5] + b"\n")
    with capture_logs() as logs:
        second = RunOnRecord(tmp_path / "run")
        second.write(verdict(40))
        second.settle()
        second.close()
    assert second.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(n,) for n in range(41)]
    said = [entry for entry in logs if "cannot be read" in entry["event"]]
    assert [entry["lines"] for entry in said] == [39]
    assert second.records.lost == 0


def test_a_log_that_cannot_be_opened_costs_no_record(tmp_path: Path) -> None:
    """Without a readable log, new verdicts are still recorded."""
    run = RunOnRecord(tmp_path / "run")
    run.write(verdict(0))
    run.settle()
    run.close()
    missing = [tmp_path / "run" / "nowhere.jsonl", tmp_path]
    with capture_logs() as logs:
        records = Records(run.url, run.run, lambda: missing, tmp_path / "rejects", KEEP_ALL)
        records.write(verdict(1))
        records.flush()
        records.close()
    assert records.lost == 0
    assert run.rows(COUNT) == [(2,)]
    assert sum("verdict log cannot be read" in entry["event"] for entry in logs) == 2


def test_frames_of_two_ingests_without_a_time_are_apart(run: RunOnRecord) -> None:
    """Announcements that died with decide: no capture time, no position, and a camera that counts from 0 again."""
    lost: dict[str, Any] = {
        "captured_ns": 0,
        "position_mm": 0.0,
        "coil": None,
        "decision": Decision.UNINSPECTED,
        "stage_ms": {},
    }
    lost |= {"reasons": ("lost with decide",), "codes": ("lost",)}
    run.write(*(verdict(n, ingest_epoch=epoch, **lost) for epoch in (1000, 2000) for n in range(3)))
    run.settle()
    assert run.records.lost == 0
    assert run.rows("SELECT frame_id, ingest_epoch, codes FROM verdicts ORDER BY id") == [
        (n, epoch, '["lost"]') for epoch in (1000, 2000) for n in range(3)
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_second_verdict_for_one_frame_is_counted_and_said(run: RunOnRecord, at_once: bool) -> None:
    """A second verdict for a frame is counted and logged, and its defects are not added to the first."""
    first, second = verdict(3, ingest_epoch=9), verdict(3, defect("top-3-1"), ingest_epoch=9)
    with capture_logs() as logs:
        run.write(verdict(2, ingest_epoch=9), first)
        if not at_once:
            run.settle()
        run.write(second, verdict(4, ingest_epoch=9))
        run.settle()
    assert run.records.lost == 1
    assert run.rows("SELECT frame_id, decision FROM verdicts ORDER BY id") == [
        (2, "accept"), (3, "accept"), (4, "accept"),
    ]  # fmt: skip
    assert run.rows("SELECT COUNT(*) FROM defects") == [(0,)]
    (said,) = [entry for entry in logs if entry["event"] == "record lost"]
    assert (said["camera"], said["frame"], said["why"]) == (
        "top",
        3,
        "another verdict is on record for this frame",
    )


@pytest.mark.parametrize("at_once", [True, False])
def test_frames_that_nothing_tells_apart_are_counted(run: RunOnRecord, at_once: bool) -> None:
    """Verdicts of a version without ingests, with neither ingest nor capture time, do not count as one frame."""
    lost = verdict(3, captured_ns=0, decision=Decision.UNINSPECTED, reasons=("lost with decide",), stage_ms={})
    run.write(lost)
    if not at_once:
        run.settle()
    run.write(lost, verdict(4))
    run.settle()
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(3,), (4,)]
    assert run.records.lost == 1


def test_a_database_that_comes_back_while_the_line_ends_has_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the line does not wait for the writer's pause."""
    monkeypatch.setattr(writer, "FIRST_PAUSE_S", 60.0)
    blocked = tmp_path / "in the way"
    blocked.write_text("")
    run = RunOnRecord(tmp_path / "run", f"sqlite:///{blocked}/records.sqlite")
    run.write(*(verdict(n) for n in range(500)))
    freed = threading.Timer(0.3, blocked.unlink)
    freed.start()
    run.close()
    freed.join()
    assert run.records.lost == 0
    assert run.rows(COUNT) == [(500,)]


def test_what_is_missing_at_the_end_comes_with_the_next_start_or_an_import(tmp_path: Path) -> None:
    """Missing records are written by the next start or an import, as the message says."""
    blocked = tmp_path / "in the way"
    blocked.write_text("")
    key = identify_run(tmp_path / "run", "line@1").key
    run = RunOnRecord(tmp_path / "run", f"sqlite:///{blocked}/records.sqlite", key)
    run.write(*(verdict(n) for n in range(500)))
    with capture_logs() as logs:
        run.close()
    assert run.records.lost == 500
    assert logs[-1]["what_to_do"].startswith(f"inspector records import {tmp_path / 'run'} --config ")
    blocked.unlink()
    assert import_run(run.database, run.folder, "line@1").new == 500
    blocked.rename(tmp_path / "moved")
    again = RunOnRecord(tmp_path / "run", run.url, key)
    again.settle()
    again.close()
    assert again.rows(COUNT) == [(500,)]


def test_an_import_brings_what_the_full_queue_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import also records frames in the middle of a run."""
    monkeypatch.setattr(writer, "QUEUE_ROWS", 10)
    key = identify_run(tmp_path / "run", "line@1").key
    run = RunOnRecord(tmp_path / "run", key=key)
    run.write(*(verdict(n) for n in range(50)))
    run.settle()
    run.write(verdict(50))
    run.close()
    lost = run.records.lost
    assert 0 < lost <= 40, "how many fit depends on when the writer takes the first ones"
    done = import_run(run.database, run.folder, "line@1")
    assert (done.read, done.new, done.refused) == (51, lost, 0)
    assert run.rows("SELECT COUNT(*), COUNT(DISTINCT frame_id), COUNT(DISTINCT run_id) FROM verdicts") == [
        (51, 51, 1)
    ]


def test_a_defect_whose_first_frame_was_dropped_stays_one_after_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames that are written at once and those that an import brings agree on when it began."""
    key = identify_run(tmp_path / "run", "line@1").key
    run = RunOnRecord(tmp_path / "run", key=key)
    monkeypatch.setattr(writer, "QUEUE_ROWS", 0)
    run.write(verdict(1, defect("top-1-1")))
    monkeypatch.undo()
    run.write(verdict(2, defect("top-1-1")))
    run.settle()
    run.close()
    assert run.records.lost == 1
    import_run(run.database, run.folder, "line@1")
    assert run.rows("SELECT COUNT(*), COUNT(DISTINCT began_ns) FROM defects") == [(2, 1)]


@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 36, b"not-a-key", b"\xff\xfe"])
def test_a_key_that_a_power_cut_emptied_is_a_missing_key(tmp_path: Path, content: bytes) -> None:
    """An empty key is replaced, because two runs with empty keys would become one."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".run-key").write_bytes(content)
    keys = {identify_run(tmp_path / name, "line@1").key for name in ("a", "b")}
    assert len(keys) == 2
    assert identify_run(tmp_path / "a", "line@1").key in keys


def test_a_killed_writer_leaves_a_whole_database(tmp_path: Path) -> None:
    """After SIGKILL during a transaction the file is intact, and the next start completes it from the log."""
    tests = Path(__file__).parents[4]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "run"), str(tests)])
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        if (tmp_path / "records.sqlite").exists() and rows_there(tmp_path) >= 400:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    successor = RunOnRecord(tmp_path / "run")
    successor.settle()
    successor.close()
    logged = sum(1 for _ in read_verdicts(tmp_path / "run" / "verdicts.jsonl"))
    assert logged >= 400
    assert successor.rows("SELECT COUNT(*), COUNT(DISTINCT frame_id), MAX(frame_id) FROM verdicts") == [
        (logged, logged, logged - 1)
    ]
    assert successor.rows("PRAGMA integrity_check") == [("ok",)]


def rows_there(folder: Path) -> int:
    try:
        return rows(f"sqlite:///{folder}/records.sqlite", COUNT)[0][0]
    except OperationalError:  # its tables are being made
        return 0


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_costs_no_record_once_there_is_room(tmp_path: Path) -> None:
    """While the disk is full, records wait; they are written when space is freed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        run = RunOnRecord(tmp_path / "run", f"sqlite:///{disk}/records.sqlite")
        run.write(verdict(0))
        run.settle()
        with capture_logs() as logs:
            fill(disk / "filler")
            run.write(*(verdict(n) for n in range(1, 3000)))
            time.sleep(2.0)
            assert run.records.waiting > 0
            assert "full" in next(entry["error"] for entry in logs if "error" in entry)
            (disk / "filler").unlink()
            run.settle()
        run.close()
        assert run.records.lost == 0
        assert run.rows(COUNT) == [(3000,)]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


FILE_LIMIT = """
import resource, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.recorded import RunOnRecord, verdict
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunOnRecord(Path(sys.argv[1]))
run.write(verdict(0)); run.settle()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # no file grows beyond 200 kB
run.write(*(verdict(n) for n in range(1, 2000)))
time.sleep(3)
stuck = run.records.waiting
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
run.settle(); run.close()
print(stuck > 0, run.records.lost, run.rows("SELECT COUNT(*) FROM verdicts"))
"""


def test_a_file_that_may_not_grow_costs_no_record(tmp_path: Path) -> None:
    """The same without root, with a limit on the file's size."""
    tests = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path / "run"), str(tests)], capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["True 0 [(2000,)]"], done.stdout + done.stderr


def test_tables_of_a_newer_inspector_are_refused_at_the_start(tmp_path: Path) -> None:
    """Tables of a newer version are refused in one line."""
    run = RunOnRecord(tmp_path / "run")
    run.close()
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(ConfigError, match="schema version 99, this inspector knows up to 3: install the newer"):
        RunOnRecord(tmp_path / "run")


def test_a_file_that_is_no_database_is_never_written_to(tmp_path: Path) -> None:
    """A file that is not a database stays unchanged; records are lost, but the line runs."""
    (tmp_path / "records.sqlite").write_text("notes of the night shift\n" * 100)
    with capture_logs() as logs:
        run = RunOnRecord(tmp_path / "run")
        run.write(verdict(0))
        run.close()
    assert "not a database" in logs[0]["error"]
    assert run.records.lost == 1
    assert (tmp_path / "records.sqlite").read_text().startswith("notes of the night shift")


def test_a_run_has_one_key_however_often_it_is_opened(tmp_path: Path) -> None:
    """Kept in its folder: another run that takes the folder's name has another key."""
    first = identify_run(tmp_path / "a", "line@1")
    assert identify_run(tmp_path / "a", "line@2").key == first.key
    shutil.rmtree(tmp_path / "a")
    assert identify_run(tmp_path / "a", "line@1").key != first.key


def test_uninspected_frames_are_recorded_with_their_reason(run: RunOnRecord) -> None:
    """An uninspected frame is recorded with its reason."""
    run.write(verdict(0, decision=Decision.UNINSPECTED, reasons=("shed: the worker is behind",), stage_ms={}))
    run.settle()
    assert run.rows("SELECT decision, reasons, total_ms FROM verdicts") == [
        ("uninspected", '["shed: the worker is behind"]', None)
    ]
