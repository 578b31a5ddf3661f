"""The records in a real PostgreSQL: gone and back again, with nothing lost and nothing twice."""

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, inspect, update
from structlog.testing import capture_logs

from inspector.clock_doubt import read_clocks
from inspector.sinks.records.database import Database
from inspector.sinks.records.import_run import import_run
from inspector.sinks.records.marks import Subject, mark, marks, unmark
from inspector.sinks.records.retention import NS_PER_DAY, Keep, Retention
from inspector.sinks.records.rows import identify_run
from inspector.sinks.records.schema import VERDICTS
from inspector.sinks.records.selection import Selection, defects, verdicts
from tests.support.recorded import Postgres, RunOnRecord, defect, postgres_programs, verdict
from tests.support.version_one import RUN_KEY, of_version_one, tables_in, write_log

COUNT = "SELECT COUNT(*) FROM verdicts"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    postgres_programs()
    # Not in pytest's folder, which only root may enter; and a socket's name has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    made = Postgres(folder)
    made.make()
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def url(server: Postgres) -> str:
    """The URL of an empty database."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server.url


@pytest.fixture
def run(url: str, tmp_path: Path) -> Iterator[RunOnRecord]:
    run = RunOnRecord(tmp_path / "run", url)
    yield run
    run.close()


def test_rows_views_and_keys_are_those_of_sqlite(run: RunOnRecord) -> None:
    """A verdict that is written repeatedly is stored once; a defect over two frames is one."""
    run.write(verdict(0, defect("top-0-1")), verdict(1, defect("top-0-1", 300)), verdict(0, defect("top-0-1")))
    run.settle()
    assert run.rows(COUNT) == [(2,)]
    assert run.rows("SELECT defect_id, first_frame, last_frame, frames, area_px FROM strip_defects") == [
        ("top-0-1", 0, 1, 2, 400)
    ]
    assert run.rows("SELECT version FROM schema_version") == [(3,)]


def test_retention_marks_and_export_are_those_of_sqlite(run: RunOnRecord, tmp_path: Path) -> None:
    """Retention, marks and export work as in SQLite."""
    run.write(
        *(verdict(n, defect(f"top-{n}-1"), coil=f"C-{n}") for n in range(6)),
        verdict(6, defect("top-5-1"), coil="C-6"),
    )
    run.settle()
    database = Database(run.url)
    with database.changing("") as connection:
        mark(connection, [Subject(coil="C-1"), Subject(camera="top", frame_id=3, run="run")], "claim", "anna")
        assert [each["coil"] for each in marks(connection)] == ["C-1", None]
    with database.reading("") as connection:
        parts = [row for rows in defects(connection, Selection(camera="top")) for row in rows]
        assert [tuple(row)[2:3] + tuple(row)[6:9] for row in parts[-2:]] == [
            ("top-4-1", 4, 4, 1),
            ("top-5-1", 5, 6, 2),
        ]
        frames = [row for rows in verdicts(connection, Selection(coil="C-2")) for row in rows]
        assert [tuple(row)[:3] for row in frames] == [(str(run.folder), "top", 2)]
    with database.writing() as connection:
        keeper = Retention(Keep(1.0, None), tmp_path / "run" / "rejects", None)
        list(keeper.sweep(connection, read_clocks()))
        with connection.begin():
            connection.execute(update(VERDICTS).values(recorded_ns=time.time_ns() - 2 * NS_PER_DAY))
        list(keeper.sweep(connection, read_clocks()))
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY frame_id") == [(1,), (3,)]
    assert run.rows("SELECT COUNT(*) FROM defects") == [(2,)]
    with database.changing("") as connection:
        unmark(connection, [Subject(coil="C-1")])
        assert len(marks(connection)) == 1


def test_a_server_that_dies_and_comes_back_loses_and_doubles_nothing(run: RunOnRecord, server: Postgres) -> None:
    """The server is killed while writing; verdicts continue, and all are recorded in the end."""
    with capture_logs() as logs:
        frame_id = 0
        until_s = time.monotonic() + 6.0
        stopped = started = False
        while time.monotonic() < until_s or not started:
            run.write(verdict(frame_id, *([defect(f"top-{frame_id}-1")] if frame_id % 7 == 0 else [])))
            frame_id += 1
            time.sleep(0.002)
            if frame_id == 300 and not stopped:
                server.stop()
                stopped = True
            if stopped and not started and time.monotonic() > until_s - 3.0:
                server.start()
                started = True
        run.settle(60)
    assert run.records.lost == 0
    assert run.rows("SELECT COUNT(*), COUNT(DISTINCT frame_id) FROM verdicts") == [(frame_id, frame_id)]
    assert run.rows("SELECT COUNT(*) FROM defects") == [(-(-frame_id // 7),)]
    events = [entry["event"] for entry in logs]
    assert events == [
        "database cannot be written: records wait, verdicts go on",
        "database is written again",
    ]
    assert "cr" not in str(logs).replace("records", ""), "the password is in the log"


def test_a_server_that_comes_back_just_before_the_end_loses_nothing(
    url: str, tmp_path: Path, server: Postgres
) -> None:
    """The end of the line interrupts the writer's pause between attempts."""
    run = RunOnRecord(tmp_path / "run", url)
    run.write(verdict(0))
    run.settle()
    server.stop()
    run.write(*(verdict(n, defect(f"top-{n}-1")) for n in range(1, 400)))
    time.sleep(4.0)  # attempts at 0, 0.5, 1.5 and 3.5 s, and the next at 7.5 s
    server.start()
    run.close()
    assert run.records.lost == 0
    assert run.rows(COUNT) == [(400,)]
    assert run.rows("SELECT COUNT(*) FROM defects") == [(399,)]


def test_what_a_dead_server_missed_comes_by_an_import_and_nothing_twice(
    url: str, tmp_path: Path, server: Postgres
) -> None:
    """An import records the whole queue once, however much of it was written."""
    run = RunOnRecord(tmp_path / "run", url, identify_run(tmp_path / "run", "line@1").key)
    run.write(*(verdict(n, defect(f"top-{n}-1")) for n in range(300)))
    run.settle()
    server.stop()
    run.write(*(verdict(n, defect(f"top-{n}-1")) for n in range(300, 540)))
    run.close()
    assert run.records.lost == 240
    server.start()
    done = import_run(run.database, run.folder, "line@1")
    assert (done.read, done.new, done.refused) == (540, 240, 0)
    assert run.rows("SELECT COUNT(*), COUNT(DISTINCT frame_id), COUNT(DISTINCT run_id) FROM verdicts") == [
        (540, 540, 1)
    ]
    assert run.rows("SELECT COUNT(*) FROM defects") == [(540,)]


def test_a_second_verdict_for_one_frame_is_counted(run: RunOnRecord) -> None:
    """It is counted, as in SQLite."""
    run.write(
        verdict(3, ingest_epoch=9), verdict(3, defect("top-3-1"), ingest_epoch=9), verdict(3, ingest_epoch=10)
    )
    run.settle()
    assert run.records.lost == 1
    assert run.rows("SELECT ingest_epoch, decision FROM verdicts ORDER BY id") == [(9, "accept"), (10, "accept")]


def test_a_database_of_version_1_gets_the_tables_of_a_new_one(url: str, server: Postgres, tmp_path: Path) -> None:
    """The same columns, keys and indexes; every record is still there, and the run goes on."""
    new = Database(url)
    with new.writing() as connection, connection.begin():
        tables = tables_in(inspect(connection))
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        raw.execute(of_version_one("postgresql"))
    write_log(tmp_path / "run")
    run = RunOnRecord(tmp_path / "run", url, RUN_KEY)
    run.write(verdict(9, defect("top-9-1"), ingest_epoch=77))
    run.settle()
    run.close()
    assert run.records.lost == 0
    with run.database.reading("") as connection, connection.begin():
        assert tables_in(inspect(connection)) == tables
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(0,), (1,), (2,), (0,), (1,), (9,)]
    assert run.rows("SELECT defect_id, frames FROM strip_defects ORDER BY began_ns, defect_id") == [
        ("top-0-1", 2),
        ("top-9-1", 1),
    ]
    assert run.rows("SELECT frame_id FROM marks") == [(1,)]


def test_retention_finds_rejects_by_their_own_index(run: RunOnRecord) -> None:
    """Otherwise it would scan all frames when rejects are rare, also with generic query plans."""
    run.write(*(verdict(n, *([defect("d")] if n % 4000 == 0 else [])) for n in range(20_000)))
    run.settle(60)
    plans: list[str] = []

    def note(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "LIMIT" in statement and "'reject'" in statement:
            with psycopg.connect(run.url.replace("+psycopg", "")) as asked:
                asked.execute("SET plan_cache_mode = force_generic_plan")
                asked.execute("ANALYZE verdicts")
                plans.extend(row[0] for row in asked.execute(f"EXPLAIN {statement}", parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with run.database.writing() as connection:
            keeper = Retention(Keep(None, 1.0), run.folder / "rejects", None, lambda _: 0)
            keeper._free_space._pictures_bytes, keeper._free_space._measured_ns = 10**12, time.time_ns()
            list(keeper.sweep(connection, read_clocks()))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any("verdicts_rejected" in plan for plan in plans), "\n".join(plans)
    assert not any("Seq Scan on verdicts" in plan for plan in plans), "\n".join(plans)


def test_a_server_that_is_away_at_the_start_holds_up_nothing(tmp_path: Path, server: Postgres) -> None:
    """The line starts without its database, even if the port accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://postgres:x@127.0.0.1:{silent.getsockname()[1]}/postgres"
        started_s = time.monotonic()
        run = RunOnRecord(tmp_path / "run", url)
        run.write(verdict(0))
        run.close()
        assert time.monotonic() - started_s < 15
        assert run.records.lost == 1


def test_a_locked_table_delays_records_only(run: RunOnRecord, server: Postgres) -> None:
    """A locked table delays records, not verdicts."""
    run.write(verdict(0))
    run.settle()
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE verdicts IN ACCESS EXCLUSIVE MODE")
        run.write(*(verdict(n) for n in range(1, 50)))
        time.sleep(3)
        assert run.records.waiting == 49
        other.rollback()
    run.settle()
    assert run.rows(COUNT) == [(50,)]


def test_two_lines_that_start_at_once_make_the_tables_once(url: str) -> None:
    """Both find an empty database."""
    faults: list[Exception] = []

    def open_tables() -> None:
        try:
            with Database(url).writing():
                pass
        except Exception as error:  # noqa: BLE001  # whatever it is, the test tells it
            faults.append(error)

    threads = [threading.Thread(target=open_tables) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_wrong_password_is_one_line_without_it(server: Postgres, tmp_path: Path) -> None:
    """The line has the server's message and no password."""
    wrong = server.url.replace("se%2Fcr%3Aet", "hunter2")
    with capture_logs() as logs:
        RunOnRecord(tmp_path / "run", wrong).close()
    assert "password authentication failed" in logs[0]["error"]
    assert "hunter2" not in str(logs)
