"""Retention: the oldest goes first, by age or for room; what an operator marked stays, whatever happens."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, event, insert, update
from structlog.testing import capture_logs

from inspector.clock_doubt import Now
from inspector.errors import ConfigError, InputError
from inspector.results import REJECTS_FOLDER
from inspector.sinks.pictures import picture_name
from inspector.sinks.records import old_frames, retention
from inspector.sinks.records.database import Database
from inspector.sinks.records.free_space import BYTES_PER_GB, refuse_more_than_the_disk
from inspector.sinks.records.import_run import import_run
from inspector.sinks.records.marks import Subject, mark, unmark
from inspector.sinks.records.retention import NS_PER_DAY, Keep, Retention
from inspector.sinks.records.rows import identify_run
from inspector.sinks.records.schema import CLOCKS, VERDICTS
from tests.support.recorded import SECOND_NS, RunOnRecord, defect, verdict, wait_until

NOW_NS = 1_900_000_000 * SECOND_NS
COILS = 4
FRAMES = 10
"""Of each coil; the first two of them are rejected, with one defect each."""


def at(wall_ns: int, *, boot: str = "first", set_by_ns: int = 0) -> Now:
    """A moment of a PC that was started in 2000, whose clock is wrong by `set_by_ns`."""
    return Now(wall_ns + set_by_ns, wall_ns - 946_684_800 * SECOND_NS, boot)


def free_but_one(_: Path) -> int:
    """One byte less than 1 GB, whatever is deleted."""
    return BYTES_PER_GB - 1


class Archive:
    """Four recorded coils, one per day, with pictures of their rejects; the last is today's."""

    def __init__(self, folder: Path) -> None:
        self.run = RunOnRecord(folder / "run")
        self.pictures = self.run.folder / REJECTS_FOLDER
        self.pictures.mkdir()
        for coil in range(COILS):
            for n in range(FRAMES):
                frame_id = coil * FRAMES + n
                bad = [defect(f"top-{frame_id}-1")] if n < 2 else []
                self.run.write(verdict(frame_id, *bad, coil=f"C-{coil}"))
                if bad:
                    self.picture(frame_id, COILS - 1 - coil)
        self.run.settle()
        self.run.close()
        self.database = Database(self.run.url)
        with self.connection() as connection, connection.begin():
            for coil in range(COILS):
                age_ns = (COILS - 1 - coil) * NS_PER_DAY
                connection.execute(
                    update(VERDICTS).where(VERDICTS.c.coil == f"C-{coil}").values(recorded_ns=NOW_NS - age_ns)
                )

    def picture(self, frame_id: int, days: int) -> None:
        for ending in (".jpg", "-0.png"):
            path = self.pictures / f"{picture_name('top', frame_id)}{ending}"
            path.write_bytes(bytes(1000))
            os.utime(path, ns=(NOW_NS - days * NS_PER_DAY,) * 2)

    def connection(self) -> AbstractContextManager[Connection]:
        return self.database.writing()

    def sweep(
        self,
        days: float | None = None,
        free_gb: float | None = None,
        free: Callable[[], int] = lambda: BYTES_PER_GB - 1,
        now: Now | None = None,
    ) -> None:
        keeper = Retention(Keep(days, free_gb), self.pictures, self.database.file, lambda _: free())
        with self.connection() as connection:
            list(keeper.sweep(connection, now or at(NOW_NS + SECOND_NS)))

    def coils(self) -> dict[str, int]:
        return dict(self.run.rows("SELECT coil, COUNT(*) FROM verdicts GROUP BY coil ORDER BY coil"))

    def pictured(self) -> list[int]:
        return sorted({int(path.name[4:12]) for path in self.pictures.iterdir()})

    def defects(self) -> int:
        return self.run.rows("SELECT COUNT(*) FROM defects")[0][0]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def marked(archive: Archive, *subjects: Subject) -> None:
    with archive.database.changing("") as connection:
        mark(connection, subjects, "claim 771", "anna")


def test_what_is_too_old_goes_with_its_pictures(archive: Archive) -> None:
    """Records, defects and pictures of the same frames; a second sweep finds nothing to do."""
    with capture_logs() as logs:
        archive.sweep(days=1.5)
        archive.sweep(days=1.5)
    assert archive.coils() == {"C-2": FRAMES, "C-3": FRAMES}
    assert archive.pictured() == [20, 21, 30, 31]
    assert archive.defects() == 4
    assert [(entry["event"], entry["records"], entry["pictures"]) for entry in logs] == [
        ("old records deleted", 20, 8)
    ]


@pytest.mark.parametrize("made_last", ["verdicts_rejected", "verdicts_by_run"])
def test_a_sweep_finds_each_frame_by_its_key(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, made_last: str
) -> None:
    """However many frames and rejects are on record: what goes through all of them for each frame takes seconds a
    piece, in which nothing is recorded."""
    plans: list[str] = []

    def note(_connection: object, cursor: Any, statement: str, parameters: Any, _: object, many: bool) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            asked = cursor.connection.cursor()
            asked.execute(f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters)
            plans.extend(row[3] for row in asked.fetchall())

    # Of two indexes that are as good, SQLite takes the one that was made last.
    with archive.connection() as connection, connection.begin():
        (index,) = [each for each in VERDICTS.indexes if each.name == made_last]
        index.drop(connection)
        index.create(connection)
    monkeypatch.setattr(retention, "PIECE_FILES", 3)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        archive.sweep(days=0.5, free_gb=1)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    frames = [plan for plan in plans if re.search(r"(SCAN|SEARCH) (verdicts|defects|later)", plan)]
    assert any("later" in plan for plan in frames)
    assert any("defects" in plan for plan in frames)
    by_key = (
        r"run_id=\? AND camera=\? AND frame_id=\?|SEARCH verdicts USING INTEGER PRIMARY KEY|run_id=\?.* AND id>\?"
    )
    assert [plan for plan in frames if not re.search(by_key, plan)] == []
    assert [plan for plan in frames if re.search(r"later.*id>\?", plan)] == []
    assert any("SEARCH verdicts USING INDEX verdicts_rejected" in plan for plan in frames), (
        "few frames are rejected"
    )


def test_a_marked_coil_and_a_marked_frame_stay(archive: Archive) -> None:
    """They stay however old they are; without the mark the next sweep deletes them."""
    coil, frame = Subject(coil="C-0"), Subject(camera="top", frame_id=11)
    marked(archive, coil, frame)
    archive.sweep(days=0.5)
    assert archive.coils() == {"C-0": FRAMES, "C-1": 1, "C-3": FRAMES}
    assert archive.pictured() == [0, 1, 11, 30, 31]
    with archive.database.changing("") as connection:
        unmark(connection, [coil, frame])
    archive.sweep(days=0.5)
    assert archive.coils() == {"C-3": FRAMES}
    assert archive.pictured() == [30, 31]


def test_a_mark_counts_from_the_moment_it_is_made(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark set by another process during a sweep protects what is not deleted yet."""
    monkeypatch.setattr(old_frames, "PIECE_ROWS", 3)
    with archive.connection() as connection:
        sweep = Retention(Keep(0.5, None), archive.pictures, None).sweep(connection, at(NOW_NS + SECOND_NS))
        while archive.coils()["C-1"] == FRAMES:
            next(sweep)
        left = archive.coils()["C-1"]
        marked(archive, Subject(coil="C-1"))
        list(sweep)
    assert archive.coils() == {"C-1": left, "C-3": FRAMES}
    assert 0 < left < FRAMES


def test_work_is_cut_into_small_pieces(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of work has a limited number of records and files, and nothing is skipped."""
    monkeypatch.setattr(old_frames, "PIECE_ROWS", 7)
    monkeypatch.setattr(retention, "PIECE_FILES", 2)
    with archive.connection() as connection:
        sweep = Retention(Keep(0.5, None), archive.pictures, None).sweep(connection, at(NOW_NS + SECOND_NS))
        sizes = [(sum(archive.coils().values()), len(list(archive.pictures.iterdir()))) for _ in sweep]
    steps = list(zip([(COILS * FRAMES, 16), *sizes], sizes, strict=False))
    assert max(before[0] - after[0] for before, after in steps) <= 7
    assert max(before[1] - after[1] for before, after in steps) <= 2
    assert archive.coils() == {"C-3": FRAMES}
    assert archive.pictured() == [30, 31]


def test_a_sweep_that_is_cut_off_is_done_again(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill between any two pieces the next sweep completes it, and no picture outlives its record."""
    monkeypatch.setattr(old_frames, "PIECE_ROWS", 3)
    for stop_after in range(1, 6):
        with archive.connection() as connection:
            sweep = Retention(Keep(0.5, None), archive.pictures, None).sweep(connection, at(NOW_NS + SECOND_NS))
            for _ in range(stop_after):
                next(sweep, None)
    archive.sweep(days=0.5)
    assert archive.coils() == {"C-3": FRAMES}
    assert archive.pictured() == [30, 31]


def test_for_room_the_oldest_pictures_go_until_there_is_enough(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their records stay, because they take little space."""
    monkeypatch.setattr(old_frames, "PIECE_ROWS", 1)

    def free() -> int:
        return BYTES_PER_GB - 500 * len(list(archive.pictures.iterdir())) + 4500

    with capture_logs() as logs:
        archive.sweep(free_gb=1, free=free)
    assert archive.pictured() == [20, 21, 30, 31], "the first 8 of 16 files: 9 would leave enough room"
    assert sum(archive.coils().values()) == COILS * FRAMES
    assert [entry["log_level"] for entry in logs] == ["info"]


def test_for_room_records_go_last_and_marked_ones_never(archive: Archive) -> None:
    """If the disk stays full, everything unmarked is deleted; one line says so, and the sweep ends."""
    marked(archive, Subject(coil="C-1"), Subject(camera="top", frame_id=31))
    keeper = Retention(Keep(None, 1), archive.pictures, archive.database.file, free_but_one)
    with capture_logs() as logs, archive.connection() as connection:
        for _ in range(3):
            list(keeper.sweep(connection, at(NOW_NS)))
    assert archive.coils() == {"C-1": FRAMES, "C-3": 1}
    assert archive.pictured() == [10, 11, 31]
    said = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(said) == 1
    assert said[0]["event"].endswith("nothing is left that may be deleted: what is marked stays")


def test_the_database_file_shrinks_when_records_go_for_room(tmp_path: Path) -> None:
    """Otherwise deleting records would not free any disk space."""
    run = RunOnRecord(tmp_path / "run")
    run.write(*(verdict(n) for n in range(20_000)))
    run.settle()
    run.close()
    database = Database(run.url)
    assert database.file is not None
    before = database.file.stat().st_size
    with database.writing() as connection:
        list(
            Retention(Keep(None, 1), tmp_path / "none", database.file, free_but_one).sweep(connection, at(NOW_NS))
        )
    assert run.rows("SELECT COUNT(*) FROM verdicts") == [(0,)]
    assert database.file.stat().st_size < before / 10


def test_a_picture_whose_record_was_lost_goes_when_it_is_old(archive: Archive) -> None:
    """A picture without a record is deleted when it is old."""
    archive.picture(500, days=3)
    archive.picture(501, days=0)
    (archive.pictures / "notes.txt").write_text("not ours")
    os.utime(archive.pictures / "notes.txt", ns=(0, 0))
    archive.sweep(days=1.5)
    assert (archive.pictures / "notes.txt").exists()
    (archive.pictures / "notes.txt").unlink()
    assert archive.pictured() == [20, 21, 30, 31, 501]


def test_a_newer_frame_of_the_same_number_keeps_its_picture(archive: Archive) -> None:
    """Ingest started again and counts from 0: the file under the name is the newer frame's."""
    again = RunOnRecord(archive.run.folder)
    again.write(verdict(0, defect("top-0-1"), captured_ns=NOW_NS, coil="C-9"))
    again.settle()
    again.close()
    with archive.connection() as connection, connection.begin():
        connection.execute(update(VERDICTS).where(VERDICTS.c.coil == "C-9").values(recorded_ns=NOW_NS))
    archive.picture(0, days=0)
    archive.sweep(days=1.5)
    assert archive.pictured() == [0, 20, 21, 30, 31]


def test_a_picture_that_cannot_be_deleted_keeps_its_record(archive: Archive) -> None:
    """A picture that cannot be deleted is reported, and the next sweep tries again."""
    stuck = archive.pictures / f"{picture_name('top', 0)}.jpg"
    stuck.unlink()
    stuck.mkdir()
    with capture_logs() as logs:
        archive.sweep(days=1.5)
    assert archive.coils() == {"C-0": 1, "C-2": FRAMES, "C-3": FRAMES}
    assert [entry["event"] for entry in logs] == ["old records deleted", "pictures cannot be deleted"]


def test_records_of_another_pc_are_left_alone(archive: Archive) -> None:
    """Of a shared database, each PC deletes only its own records and pictures."""
    archive.run.rows("SELECT 1")
    with archive.connection() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE runs SET host = 'another-pc'")
    archive.sweep(days=0.5, free_gb=1)
    assert sum(archive.coils().values()) == COILS * FRAMES


def test_only_what_is_recorded_can_be_marked_and_only_what_is_marked_unmarked(archive: Archive) -> None:
    """An unknown coil is refused; of several subjects all are marked or none."""
    with pytest.raises(InputError, match="coil C-77: not in the records"):
        marked(archive, Subject(coil="C-0"), Subject(coil="C-77"))
    with (
        pytest.raises(InputError, match="coil C-0: is not marked"),
        archive.database.changing("") as connection,
    ):
        unmark(connection, [Subject(coil="C-0")])


def test_a_frame_that_several_runs_have_needs_its_run(archive: Archive, tmp_path: Path) -> None:
    """Frame numbers start from 0 in each run."""
    other = RunOnRecord(tmp_path / "other", key="run-2")
    other.write(verdict(0, coil="C-0"))
    other.settle()
    other.close()
    with pytest.raises(InputError, match="frame top:0: 2 runs have such a frame: add --run, one of other, run"):
        marked(archive, Subject(camera="top", frame_id=0))
    marked(archive, Subject(camera="top", frame_id=0, run="run"))
    with archive.connection() as connection, connection.begin():
        connection.execute(update(VERDICTS).where(VERDICTS.c.run_id == 2).values(recorded_ns=NOW_NS - NS_PER_DAY))
    archive.sweep(days=30)
    archive.sweep(days=0.5)
    assert archive.coils() == {"C-0": 1, "C-3": FRAMES}
    assert archive.run.rows("SELECT COUNT(*) FROM verdicts WHERE frame_id = 0 AND run_id = 1") == [(1,)]
    with pytest.raises(InputError, match="not in the records of run nope"):
        marked(archive, Subject(camera="top", frame_id=0, run="nope"))


def test_the_writer_sweeps_between_its_batches(tmp_path: Path) -> None:
    """Old records are deleted while new verdicts are written."""
    run = RunOnRecord(tmp_path / "run", keep=Keep(1e-9, None))
    run.write(*(verdict(n) for n in range(5000)))
    run.settle()
    run.close()
    assert run.records.lost == 0
    again = RunOnRecord(tmp_path / "run", keep=Keep(1e-9, None))
    again.write(verdict(6000))
    again.settle()
    wait_until(lambda: again.rows("SELECT COUNT(*) FROM verdicts")[0][0] <= 1)
    again.close()


# The clock


def held(archive: Archive, *moments: Now, days: float = 1.5) -> list[str]:
    """Sweep at each of these moments, each time in a separate process; returns the logged errors."""
    with capture_logs() as logs:
        for moment in moments:
            archive.sweep(days=days, now=moment)
    return [entry["why"] for entry in logs if entry["log_level"] == "error"]


DAY_NS = NS_PER_DAY
YEARS_NS = 3650 * NS_PER_DAY
ALL = {f"C-{n}": FRAMES for n in range(COILS)}
YOUNG = {"C-2": FRAMES, "C-3": FRAMES}


@pytest.mark.parametrize("set_by_ns", [YEARS_NS, 40 * DAY_NS, -YEARS_NS, DAY_NS])
def test_a_clock_that_was_set_deletes_nothing(archive: Archive, set_by_ns: int) -> None:
    """A clock that is set ahead or back deletes nothing, whether the line runs or not."""
    said = held(archive, at(NOW_NS), at(NOW_NS + SECOND_NS, set_by_ns=set_by_ns), days=30)
    assert len(said) == 1
    assert "the PC's clock went from 2030-03-17T17:46:40Z to " in said[0]
    assert archive.coils() == ALL
    held(archive, at(NOW_NS + 60 * SECOND_NS, set_by_ns=set_by_ns), days=30)
    assert archive.coils() == ALL, "a minute later, too"
    assert archive.pictured() == [0, 1, 10, 11, 20, 21, 30, 31]


def test_after_keep_days_the_clock_is_believed_again(archive: Archive) -> None:
    """By then all earlier records are too old by any clock."""
    assert len(held(archive, at(NOW_NS), at(NOW_NS + SECOND_NS, set_by_ns=YEARS_NS), days=5)) == 1
    assert held(archive, at(NOW_NS + 5 * DAY_NS, set_by_ns=YEARS_NS), days=5) != [], "said once by each process"
    assert archive.coils() == ALL
    assert held(archive, at(NOW_NS + 5 * DAY_NS + 2 * SECOND_NS, set_by_ns=YEARS_NS), days=5) == []
    assert archive.coils() == {}


def test_a_clock_that_is_corrected_a_little_changes_nothing(archive: Archive) -> None:
    """Small corrections, as time servers make them, change nothing."""
    assert held(archive, at(NOW_NS)) == []
    assert held(archive, at(NOW_NS + SECOND_NS, set_by_ns=500 * SECOND_NS)) == []
    assert archive.coils() == YOUNG


def test_a_pc_that_was_off_is_believed_for_half_of_keep_days(archive: Archive) -> None:
    """After a longer time off, a wrong clock is as likely."""
    held(archive, at(NOW_NS), days=4)
    assert held(archive, at(NOW_NS + DAY_NS, boot="second"), days=4) == []
    assert held(archive, at(NOW_NS + 4 * DAY_NS, boot="third"), days=4) != []
    assert archive.coils() == ALL


@pytest.mark.parametrize("gap_ns", [YEARS_NS, -YEARS_NS])
def test_a_clock_that_was_wrong_before_the_pc_was_restarted_deletes_nothing(archive: Archive, gap_ns: int) -> None:
    """After a start in a wrong year nothing is deleted, also without an earlier sweep."""
    assert held(archive, at(NOW_NS, set_by_ns=gap_ns)) != []
    assert archive.coils() == ALL
    assert held(archive, at(NOW_NS, boot="second")) != []
    assert archive.coils() == ALL


def test_a_number_that_would_delete_nearly_all_waits_for_a_day(archive: Archive) -> None:
    """A mistyped keep_days waits for a day, so that it can be corrected."""
    held(archive, at(NOW_NS), days=30)
    later_ns = NOW_NS + 3600 * SECOND_NS
    said = held(archive, at(later_ns), days=0.01)
    assert said == ["keep_days would delete more than 90% of the records at once"]
    assert held(archive, at(later_ns + SECOND_NS), days=0.01) != []
    assert archive.coils() == ALL
    assert held(archive, at(later_ns + 2 * DAY_NS), days=0.01) == []
    assert archive.coils() == {}


def test_a_line_that_runs_evenly_deletes_all_that_is_old(archive: Archive) -> None:
    """A running line without new records has no doubt about its clock, and deletes all that is old."""
    moments = [at(NOW_NS + n * DAY_NS) for n in range(4)]
    assert held(archive, *moments, days=2) == []
    assert archive.coils() == {}


def test_records_from_the_future_do_not_stop_the_sweep(archive: Archive) -> None:
    """Records with a time in the future count as old as the next one."""
    with archive.connection() as connection, connection.begin():
        connection.execute(update(VERDICTS).where(VERDICTS.c.coil == "C-0").values(recorded_ns=NOW_NS + YEARS_NS))
    assert held(archive, at(NOW_NS)) == []
    assert archive.coils() == YOUNG


# Free space


def test_nothing_is_deleted_for_free_space_where_nearly_all_would_have_to_go(archive: Archive) -> None:
    """Nothing is deleted if nearly everything would have to go; later it deletes again."""
    with capture_logs() as logs:
        for _ in range(2):
            archive.sweep(free_gb=1, free=lambda: 0)
    assert (archive.coils(), len(archive.pictured())) == (ALL, 8)
    said = "free space is low, and nothing is deleted for it, because nearly all would have to go: find what else"
    assert [entry["event"].startswith(said) for entry in logs] == [True, True]
    keeper = Retention(Keep(None, 1), archive.pictures, archive.database.file, lambda _: 0)
    with capture_logs() as logs, archive.connection() as connection:
        for _ in range(3):
            list(keeper.sweep(connection, at(NOW_NS)))
    assert len(logs) == 1, "once a process"


def test_more_free_space_than_the_disk_has_is_refused(tmp_path: Path) -> None:
    """A limit larger than the disk is refused by the start and by a check."""
    with pytest.raises(ConfigError, match=r"records\.least_free_gb: 1e\+06 GB are never free: the disk of .* has"):
        refuse_more_than_the_disk(1e6, [tmp_path / "out", tmp_path / "records.sqlite"])
    refuse_more_than_the_disk(1e-3, [tmp_path / "out"])
    refuse_more_than_the_disk(None, [tmp_path / "out"])


# What was deleted stays deleted


@pytest.mark.parametrize("epoch", [0, 77])
def test_what_was_deleted_comes_back_neither_at_a_restart_nor_by_an_import(tmp_path: Path, epoch: int) -> None:
    """Deleted records stay deleted, although the log still has them."""
    key = identify_run(tmp_path / "run", "line@1").key
    run = RunOnRecord(tmp_path / "run", key=key)
    run.write(*(verdict(n, ingest_epoch=epoch) for n in range(50)))
    run.settle()
    run.close()
    with run.database.changing("") as connection:
        mark(connection, [Subject(camera="top", frame_id=7)], "claim", "anna")
    with run.database.writing() as connection, connection.begin():
        connection.execute(update(VERDICTS).values(recorded_ns=NOW_NS))
        connection.execute(update(VERDICTS).where(VERDICTS.c.frame_id < 40).values(recorded_ns=1))
    sweep_all(run)
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(7,), *((n,) for n in range(40, 50))]
    again = RunOnRecord(tmp_path / "run", key=key)
    again.settle()
    again.close()
    assert len(again.rows("SELECT 1 FROM verdicts")) == 11
    done = import_run(run.database, run.folder, "line@1")
    assert (done.read, done.new, done.deleted) == (50, 0, 40)
    with run.database.changing("") as connection:
        unmark(connection, [Subject(camera="top", frame_id=7)])
    with run.database.writing() as connection, connection.begin():
        connection.execute(update(VERDICTS).values(recorded_ns=1))
    sweep_all(run)
    assert run.rows("SELECT 1 FROM verdicts") == []
    third = RunOnRecord(tmp_path / "run", key=key)
    third.write(verdict(50, ingest_epoch=epoch))
    third.settle()
    third.close()
    assert third.rows("SELECT frame_id FROM verdicts") == [(50,)]


def sweep_all(run: RunOnRecord) -> None:
    """Delete everything older than a day."""
    keeper = Retention(Keep(1.0, None), run.folder / REJECTS_FOLDER, None)
    with run.database.writing() as connection:
        with connection.begin():  # nothing is in doubt: the last sweep was a moment ago
            connection.execute(delete(CLOCKS))
            values = {"seen_ns": NOW_NS, "offset_ns": at(NOW_NS).offset_ns, "keep_ns": 1, "hold_until_ns": 0}
            connection.execute(insert(CLOCKS).values(host=run.run.host, boot_id="first", **values))
        list(keeper.sweep(connection, at(NOW_NS)))


def pictures_of(folder: Path, names: list[str], days: int) -> None:
    for name in names:
        path = folder / f"{name}.jpg"
        path.write_bytes(bytes(100))
        os.utime(path, ns=(NOW_NS - days * NS_PER_DAY,) * 2)


def test_a_later_ingest_keeps_no_picture_of_an_earlier_one(archive: Archive) -> None:
    """Frame 0 of both is a reject; each has a picture with a different name, which is deleted with its record."""
    epochs = (7_000_000_000, 8_000_000_000)
    names = [picture_name("top", 0, epoch) for epoch in epochs]
    again = RunOnRecord(archive.run.folder)
    for epoch in epochs:
        again.write(verdict(0, defect("top-0-1"), coil=f"C-{epoch}", ingest_epoch=epoch))
    for frame_id in range(1, 100):  # a sweep that would delete nearly all waits
        again.write(verdict(frame_id, ingest_epoch=epochs[1]))
    again.settle()
    again.close()
    with archive.connection() as connection, connection.begin():
        newest = VERDICTS.c.ingest_epoch == epochs[1]
        connection.execute(update(VERDICTS).where(~newest).values(recorded_ns=NOW_NS - 3 * NS_PER_DAY))
        connection.execute(update(VERDICTS).where(newest).values(recorded_ns=NOW_NS))
    pictures_of(archive.pictures, names, days=0)
    archive.sweep(days=1.5)
    left = {path.stem for path in archive.pictures.iterdir() if "@" in path.name}
    assert left == {names[1]}


def test_an_orphan_goes_though_another_ingest_has_a_frame_of_its_number(archive: Archive) -> None:
    """Its own record was lost."""
    name = picture_name("top", 30, 9_000_000_000)
    pictures_of(archive.pictures, [name], days=3)
    archive.sweep(days=1.5)
    assert not (archive.pictures / f"{name}.jpg").exists()
    assert 30 in archive.pictured()


@pytest.mark.parametrize("camera", ["a b/ä", "x" * 300, ".hidden", "top@1-00000003"])
def test_a_marked_picture_stays_whatever_its_camera_is_called(archive: Archive, camera: str) -> None:
    """Its file name is not the camera's name."""
    again = RunOnRecord(archive.run.folder)
    again.write(verdict(5, defect("d-5-1"), camera=camera, coil="C-9"))
    again.settle()
    again.close()
    with archive.connection() as connection, connection.begin():
        old = VERDICTS.c.coil == "C-9"
        connection.execute(update(VERDICTS).where(old).values(recorded_ns=NOW_NS - 3 * NS_PER_DAY))
    name = picture_name(camera, 5)
    pictures_of(archive.pictures, [name], days=3)
    marked(archive, Subject(coil="C-9"))
    archive.sweep(days=1.5)
    assert (archive.pictures / f"{name}.jpg").exists()
