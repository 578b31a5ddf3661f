"""Opening the database of the records: SQLite in WAL mode, or PostgreSQL by URL."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from inspector.errors import ConfigError, WorkError
from inspector.extras import needs_extra
from inspector.passwords import masked
from inspector.sinks.records.schema import NEWEST, bring_up_to_date, refuse_newer, stored_version

BUSY_S: Final = 2.0
"""How long a statement waits for another writer: longer, and the queue fills up behind it."""

CONNECT_S: Final = 3
"""PostgreSQL that does not answer, as behind a dead link. libpq counts in whole seconds and takes at least 2."""

STATEMENT_S: Final = 10
"""A statement that takes longer is given up: the link has gone, or somebody has locked a table."""

_SQLITE_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    # A power cut may take the last transactions, never the file; verdicts.jsonl has them.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    # A file that readers made long stays long without a limit.
    "PRAGMA journal_size_limit = 67108864",
)

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """The database of one URL; opened with each connection, so that it may come and go."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.connects_to = parsed
        """With the driver that is used, and with its password."""
        self.shown = shown(parsed)
        """The URL as it may stand in a log."""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.file = Path(parsed.database or "") if self.is_sqlite else None
        """The file, for SQLite."""
        self._opened: int | None = None
        arguments: dict[str, Any] = {"timeout": BUSY_S}
        if not self.is_sqlite:
            arguments = {
                "connect_timeout": CONNECT_S,
                "options": f"-c statement_timeout={1000 * STATEMENT_S} -c lock_timeout={int(1000 * BUSY_S)}",
                # A server that vanished without a word is noticed by the system's own probes.
                "keepalives_idle": STATEMENT_S,
                "tcp_user_timeout": 1000 * STATEMENT_S,
                "application_name": "strip-inspector",
            }
        with needs_extra(f"records in {self.shown}"):
            self._engine: Engine = create_engine(parsed, connect_args=arguments, poolclass=NullPool)
        if self.is_sqlite:
            event.listen(self._engine, "connect", _settle_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection to tables that are up to date; raises ConfigError for newer ones, DBAPIError."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.connect() as connection:
            with connection.begin():
                bring_up_to_date(connection)
            self._opened = self._inode()
            yield connection

    def was_replaced(self) -> bool:
        """SQLite's file was deleted or replaced since `writing` opened it: what is written now goes nowhere."""
        return self._opened != self._inode()

    def _inode(self) -> int | None:
        if self.file is None:
            return None
        try:
            return self.file.stat().st_ino
        except FileNotFoundError:
            return None

    @contextmanager
    def reading(self, purpose: str) -> Iterator[Connection]:
        """A connection for a command that reads. Raises ConfigError where there are no records, WorkError when
        the database does not answer."""
        with self._for_command(purpose, reads=True) as connection:
            yield connection

    @contextmanager
    def changing(self, purpose: str) -> Iterator[Connection]:
        """A connection for a command that writes into tables that are there; raises as `reading` does."""
        with self._for_command(purpose, reads=False) as connection:
            yield connection

    @contextmanager
    def _for_command(self, purpose: str, *, reads: bool) -> Iterator[Connection]:
        if self.file is not None and not self.file.exists():
            raise ConfigError(f"{self.file}: no such file: nothing was recorded yet")
        try:
            with self._engine.connect().execution_options(inspector_reads=reads) as connection:
                with connection.begin():
                    version = stored_version(connection)
                    if not self.is_sqlite:
                        # A year's export may take its time, unlike a batch of the line.
                        connection.exec_driver_sql("SET statement_timeout = 0")
                refuse_newer(version)
                if not version:
                    raise ConfigError(f"{self.shown}: holds no records: nothing was recorded yet")
                if version < NEWEST:
                    with self.writing():
                        pass
                yield connection
        except DBAPIError as error:
            raise WorkError(f"{self.shown}: {purpose}: {reason(error)}") from None

    def version(self) -> int:
        """The schema's version, 0 where nothing was recorded yet; changes nothing. Raises DBAPIError."""
        if self.file is not None and not self.file.exists():
            return 0
        with self._engine.connect() as connection:
            return stored_version(connection)


def parse_url(url: str) -> URL:
    """Raises ConfigError for what is no URL, or none of a database that is known here.

    What follows `sqlite:///` is the file's name as it is: a folder may be called `%41` or `what?#1`.
    """
    scheme, _, file = url.partition(":///")
    if scheme == "sqlite" and file not in ("", ":memory:"):
        return URL.create("sqlite", database=file)
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername]
    except (ArgumentError, NoSuchModuleError, KeyError, ValueError):
        # The URL itself may hold a password, so it is not repeated.
        raise ConfigError("records.url: must be sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("records.url: sqlite needs a file: sqlite:///FILE")
    return parsed.set(drivername=driver)


def shown(url: URL) -> str:
    """The URL as it may stand in a file or a log; a file's name stays as it is."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    return masked(url.render_as_string(hide_password=False))


def reason(error: DBAPIError) -> str:
    """What the database said, on one line."""
    return " ".join(str(error.orig).split())


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves a row alone that is there already."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


class Insertion:
    """Inserts rows that hold all columns but the table's own id, and leaves those alone that are there already.

    The driver gets them as they are: SQLAlchemy's way to it takes as long again, and decide has to wait for it.
    """

    def __init__(self, connection: Connection, table: Table) -> None:
        columns = [column.name for column in table.columns if column.name != "id"]
        compiled = insert_new(connection, table).compile(dialect=connection.dialect, column_keys=columns)
        self._connection, self._statement = connection, compiled.string
        self._order: list[str] | None = compiled.positiontup
        """None where the driver takes parameters by name."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """In the transaction at hand; returns how many were not there yet. Raises DBAPIError."""
        if not rows:
            return 0
        order = self._order
        parameters: list[Any] = (
            list(rows) if order is None else [tuple([row[key] for key in order]) for row in rows]
        )
        return self._connection.exec_driver_sql(self._statement, parameters).rowcount


def give_back_pages(connection: Connection, pages: int) -> None:
    """Let SQLite's file shrink by so many pages that retention has emptied; outside a transaction."""
    if connection.dialect.name != "sqlite":
        return
    # Each step of this statement frees one page, and only executescript() takes all steps of one without rows.
    file: Any = connection.connection.driver_connection
    with contextlib.suppress(sqlite3.OperationalError):  # locked: the next piece tries again
        file.executescript(f"PRAGMA incremental_vacuum({pages})")


def _settle_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transactions begin late and end early; ours begin where they say so.
    connection.isolation_level = None
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # Pages that retention frees then go back to the disk bit by bit; it cannot be switched on later.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in _SQLITE_SETTINGS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    # A writer that takes the lock only at its first insert may find its snapshot out of date, and no waiting
    # mends that.
    reads = connection.get_execution_options().get("inspector_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
