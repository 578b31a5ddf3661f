"""Tables of an older version are brought up to date, whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import OperationalError

from inspector.errors import ConfigError
from inspector.sinks.records.database import Database
from inspector.sinks.records.migrations import MIGRATIONS
from inspector.sinks.records.schema import METADATA, NEWEST, bring_up_to_date, stored_version
from tests.support.recorded import SECOND_NS, STARTED_NS, RunOnRecord, defect, verdict
from tests.support.version_one import RUN_KEY, VERDICTS_LEFT, of_version_one, tables_in, write_log


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database of the current version, with records."""
    run = RunOnRecord(tmp_path / "run")
    run.write(*(verdict(n) for n in range(10)))
    run.settle()
    run.close()
    return Database(run.url)


def add_shift(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE verdicts ADD COLUMN shift TEXT"))


def name_shift(connection: Connection) -> None:
    connection.execute(text("UPDATE verdicts SET shift = 'night'"))


def fail(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE no_such_table ADD COLUMN shift TEXT"))


def test_only_the_missing_migrations_run_and_rows_stay(database: Database) -> None:
    """From this version two further, then no further."""
    with database.writing() as connection:
        for before in (NEWEST, NEWEST + 2):
            with connection.begin():
                assert bring_up_to_date(connection, [*MIGRATIONS, add_shift, name_shift]) == before
                assert stored_version(connection) == NEWEST + 2
        with connection.begin():
            assert connection.execute(text("SELECT DISTINCT shift, COUNT(*) FROM verdicts")).all() == [
                ("night", 10)
            ]


def test_a_migration_that_fails_changes_nothing(database: Database) -> None:
    """A failed migration is rolled back, including its tables."""
    with database.writing() as connection:
        with pytest.raises(OperationalError, match="no_such_table"), connection.begin():
            bring_up_to_date(connection, [*MIGRATIONS, add_shift, fail])
        with connection.begin():
            assert stored_version(connection) == NEWEST
            assert "shift" not in connection.execute(text("SELECT * FROM verdicts")).keys()  # noqa: SIM118


def test_a_newer_database_is_refused_by_the_older_inspector(database: Database) -> None:
    """Both a command and the line refuse it."""
    with database.writing() as connection, connection.begin():
        bring_up_to_date(connection, [*MIGRATIONS, add_shift])
    newer = f"schema version {NEWEST + 1}, this inspector knows up to {NEWEST}"
    with pytest.raises(ConfigError, match=newer), database.writing():
        pass
    with pytest.raises(ConfigError, match=newer), database.reading("x"):
        pass


def of_version_one_in(folder: Path) -> Database:
    with closing(sqlite3.connect(folder / "records.sqlite")) as made:
        made.executescript(of_version_one("sqlite"))
    return Database(f"sqlite:///{folder / 'records.sqlite'}")


def test_a_database_of_version_1_gets_the_tables_of_a_new_one(tmp_path: Path) -> None:
    """The same columns, keys and indexes; every record, defect and mark is still there."""
    (tmp_path / "old").mkdir()
    old = of_version_one_in(tmp_path / "old")
    new = RunOnRecord(tmp_path / "new" / "run")
    new.close()
    with old.writing() as connection, new.database.writing() as made_new:
        with connection.begin(), made_new.begin():
            assert tables_in(inspect(connection)) == tables_in(inspect(made_new))
        with connection.begin():
            counts = [
                connection.execute(select(func.count()).select_from(METADATA.tables[table])).scalar()
                for table in ("verdicts", "defects", "marks", "runs")
            ]
            assert counts == [VERDICTS_LEFT, 2, 1, 1]
            frames = (
                "SELECT frame_id, captured_ns, ingest_epoch, decision FROM verdicts WHERE frame_id = 0 ORDER BY id"
            )
            again_ns = STARTED_NS + SECOND_NS
            assert connection.execute(text(frames)).all() == [
                (0, STARTED_NS, -STARTED_NS, "reject"),
                (0, again_ns, -again_ns, "accept"),
            ]
            strip = "SELECT defect_id, first_frame, last_frame, frames FROM strip_defects"
            assert connection.execute(text(strip)).all() == [("top-0-1", 0, 1, 2)]
            assert connection.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def test_a_run_of_version_1_goes_on_after_its_last_record(tmp_path: Path) -> None:
    """The frame that only its log has is caught up, and nothing stands there twice."""
    of_version_one_in(tmp_path)
    write_log(tmp_path / "run")
    run = RunOnRecord(tmp_path / "run", key=RUN_KEY)
    run.write(verdict(9, defect("top-9-1"), ingest_epoch=77))
    run.settle()
    run.close()
    assert run.records.lost == 0
    assert run.rows("SELECT frame_id FROM verdicts ORDER BY id") == [(0,), (1,), (2,), (0,), (1,), (9,)]


def test_a_command_brings_an_older_database_up_to_date(tmp_path: Path) -> None:
    """A command updates an older database without a start of the line."""
    with of_version_one_in(tmp_path).reading("cannot be read") as connection, connection.begin():
        assert stored_version(connection) == NEWEST
        without_codes = "SELECT COUNT(*) FROM verdicts WHERE codes IS NULL"
        assert connection.execute(text(without_codes)).scalar() == VERDICTS_LEFT


@pytest.mark.parametrize(
    "url",
    ["", "records.sqlite", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://x/y", "://"],
)
def test_an_url_that_is_none_is_one_clear_line(url: str) -> None:
    """An invalid URL is one clear line."""
    with pytest.raises(ConfigError, match=r"^records\.url: .*sqlite:///FILE"):
        Database(url)


@pytest.mark.parametrize(
    "name",
    ["%41", "what?", "a#b", "100% & more?mode=memory", "x?password=3", "a:b@c", "file:x?mode=ro", "ä b;c", "%"],
)
def test_a_folder_of_any_name_holds_its_own_database(tmp_path: Path, name: str) -> None:
    """What means something in an URL is part of the file's name, and the file lies nowhere else."""
    run = RunOnRecord(tmp_path / name / "run")
    run.write(verdict(0))
    run.settle()
    run.close()
    assert run.database.file == tmp_path / name / "records.sqlite"
    assert run.database.shown == f"sqlite:///{tmp_path / name / 'records.sqlite'}"
    with closing(sqlite3.connect(tmp_path / name / "records.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM verdicts").fetchall() == [(1,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_no_password_is_shown() -> None:
    """A password anywhere in the URL is masked."""
    shown = Database("postgresql://anna:hunter2@db/steel?sslpassword=hunter2").shown
    assert "hunter2" not in shown
    assert shown.startswith("postgresql+psycopg://anna:***@db/steel")
