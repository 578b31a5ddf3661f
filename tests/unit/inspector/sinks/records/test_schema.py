"""Tables of an earlier version are brought up to date, whole or not at all."""

from pathlib import Path

import pytest
from recorded import RunOnRecord, verdict
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from inspector.errors import ConfigError
from inspector.sinks.records.database import Database
from inspector.sinks.records.schema import bring_up_to_date, stored_version


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Of version 1, with records in it."""
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


def test_only_the_missing_migrations_run_and_rows_stay(database: Database):
    """From 1 to 3, then from 3 to 3."""
    with database.writing() as connection:
        for before in (1, 3):
            with connection.begin():
                assert bring_up_to_date(connection, [add_shift, name_shift]) == before
                assert stored_version(connection) == 3
        with connection.begin():
            assert connection.execute(text("SELECT DISTINCT shift, COUNT(*) FROM verdicts")).all() == [
                ("night", 10)
            ]


def test_a_migration_that_fails_changes_nothing(database: Database):
    """Its tables are DDL, which is rolled back as well."""
    with database.writing() as connection:
        with pytest.raises(OperationalError, match="no_such_table"), connection.begin():
            bring_up_to_date(connection, [add_shift, fail])
        with connection.begin():
            assert stored_version(connection) == 1
            assert "shift" not in connection.execute(text("SELECT * FROM verdicts")).keys()  # noqa: SIM118


def test_a_newer_database_is_refused_by_the_older_inspector(database: Database):
    """By a command as by the line."""
    with database.writing() as connection, connection.begin():
        bring_up_to_date(connection, [add_shift])
    with pytest.raises(ConfigError, match="schema version 2, this inspector knows up to 1"), database.writing():
        pass
    with pytest.raises(ConfigError, match="schema version 2"), database.reading("x"):
        pass


@pytest.mark.parametrize(
    "url",
    ["", "records.sqlite", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://x/y", "://"],
)
def test_an_url_that_is_none_is_one_clear_line(url: str):
    """Of the two databases that are known here."""
    with pytest.raises(ConfigError, match=r"^records\.url: .*sqlite:///FILE"):
        Database(url)


def test_no_password_is_shown():
    """Wherever in the URL it stands."""
    shown = Database("postgresql://anna:hunter2@db/steel?sslpassword=hunter2").shown
    assert "hunter2" not in shown
    assert shown.startswith("postgresql+psycopg://anna:***@db/steel")
