"""The records' database: SQLite in WAL mode, or PostgreSQL by URL."""

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
"""How long a statement waits for another writer, seconds; after longer waits the queue would fill up."""

CONNECT_S: Final = 3
"""Time-out for a connection to PostgreSQL, seconds. libpq takes whole seconds and at least 2."""

STATEMENT_S: Final = 10
"""Time-out of a statement, seconds: then the link is gone or a table is locked."""

_SQLITE_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    # A power cut may lose the last transactions but never damages the file; verdicts.jsonl has them.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    # Without a limit, a WAL file that grew during long reads keeps its size.
    "PRAGMA journal_size_limit = 67108864",
)

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """The database of one URL. Each connection opens it again, so it may disappear and come back."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.connects_to = parsed
        """URL with the driver in use and its password."""
        self.shown = shown(parsed)
        """URL with its password masked, for logs."""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.file = Path(parsed.database or "") if self.is_sqlite else None
        """SQLite's file; None for PostgreSQL."""
        self.opened: int | None = None
        """Inode of SQLite's file as `writing` opened it last."""
        arguments: dict[str, Any] = {"timeout": BUSY_S}
        if not self.is_sqlite:
            arguments = {
                "connect_timeout": CONNECT_S,
                "options": f"-c statement_timeout={1000 * STATEMENT_S} -c lock_timeout={int(1000 * BUSY_S)}",
                # Kernel probes detect a server that vanished without closing the connection.
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
        """Open a connection and bring the tables up to date.

        Raises ConfigError for the tables of a newer inspector, OSError, DBAPIError.
        """
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.connect() as connection:
            with connection.begin():
                bring_up_to_date(connection)
            self.opened = self._inode()
            yield connection

    def was_replaced(self) -> bool:
        """Whether SQLite's file was deleted or replaced since `writing` opened it, so that writes are lost."""
        return self.opened != self._inode()

    def _inode(self) -> int | None:
        if self.file is None:
            return None
        try:
            return self.file.stat().st_ino
        except FileNotFoundError:
            return None

    @contextmanager
    def reading(self, purpose: str) -> Iterator[Connection]:
        """Open a connection for a command that reads.

        Raises ConfigError if there are no records, WorkError if the database fails.
        """
        with self._for_command(purpose, reads=True) as connection:
            yield connection

    @contextmanager
    def changing(self, purpose: str) -> Iterator[Connection]:
        """Open a connection for a command that writes to existing tables; raises as `reading` does."""
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
                        # Exporting a year takes long, unlike a batch of the line.
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
        """Return the schema version, 0 if nothing was recorded yet; changes nothing. Raises DBAPIError."""
        if self.file is not None and not self.file.exists():
            return 0
        with self._engine.connect() as connection:
            return stored_version(connection)


def parse_url(url: str) -> URL:
    """Parse a URL; raises ConfigError if it is invalid or of an unsupported database.

    The text after `sqlite:///` is the file name unchanged: a folder may be called `%41` or `what?#1`.
    """
    scheme, _, file = url.partition(":///")
    if scheme == "sqlite" and file not in ("", ":memory:"):
        return URL.create("sqlite", database=file)
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername]
    except (ArgumentError, NoSuchModuleError, KeyError, ValueError):
        # The URL may contain a password, so the message does not repeat it.
        raise ConfigError("records.url: must be sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("records.url: sqlite needs a file: sqlite:///FILE")
    return parsed.set(drivername=driver)


def shown(url: URL) -> str:
    """Return the URL with its password masked, for a file or a log; a file name stays unchanged."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    return masked(url.render_as_string(hide_password=False))


def reason(error: DBAPIError) -> str:
    """Return the database's error message on one line."""
    return " ".join(str(error.orig).split())


def insert_new(connection: Connection, table: Table) -> Insert:
    """Return an insert that skips existing rows."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


class Insertion:
    """Inserts rows with all columns except the table's own id, and skips existing rows.

    Rows go straight to the driver: SQLAlchemy's own processing doubles the time, for which decide has to wait.
    """

    def __init__(self, connection: Connection, table: Table) -> None:
        columns = [column.name for column in table.columns if column.name != "id"]
        compiled = insert_new(connection, table).compile(dialect=connection.dialect, column_keys=columns)
        self._connection, self._statement = connection, compiled.string
        self._order: list[str] | None = compiled.positiontup
        """None if the driver takes parameters by name."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert in the caller's transaction; returns how many rows are new. Raises DBAPIError."""
        if not rows:
            return 0
        order = self._order
        parameters: list[Any] = (
            list(rows) if order is None else [tuple([row[key] for key in order]) for row in rows]
        )
        return self._connection.exec_driver_sql(self._statement, parameters).rowcount


def give_back_pages(connection: Connection, pages: int) -> None:
    """Shrink SQLite's file by up to `pages` pages that retention emptied; call it outside a transaction."""
    if connection.dialect.name != "sqlite":
        return
    # Each step of this statement frees one page; only executescript() runs all steps of one without rows.
    file: Any = connection.connection.driver_connection
    with contextlib.suppress(sqlite3.OperationalError):  # locked: the next piece tries again
        file.executescript(f"PRAGMA incremental_vacuum({pages})")


def _settle_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions late and end them early; here they begin where the code says.
    connection.isolation_level = None
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # Lets freed pages go back to the disk in small parts; it can only be set before the first table exists.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in _SQLITE_SETTINGS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that takes the write lock only at its first insert may fail on an outdated snapshot; waiting
    # does not help.
    reads = connection.get_execution_options().get("inspector_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
