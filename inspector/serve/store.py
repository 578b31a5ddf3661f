"""The page's own database: accounts, sessions, audit, alarms, events and reviews. It never holds results."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from inspector.errors import ConfigError, InputError, WorkError

STORE_NAME: Final = "page.sqlite"
SAMPLES_NAME: Final = "samples"

VERSION: Final = 3
"""PRAGMA user_version of the tables below."""

BUSY_S: Final = 3.0
"""How long a statement waits for another writer, seconds."""

_TABLES: Final = """
CREATE TABLE accounts (
  name TEXT NOT NULL PRIMARY KEY,
  role TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  made_ns INTEGER NOT NULL
);
CREATE TABLE sessions (
  token_hash TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
  used_ns INTEGER NOT NULL
);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE TABLE alarms (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  text TEXT NOT NULL,
  began_ns INTEGER NOT NULL,
  ended_ns INTEGER,
  acknowledged_by TEXT,
  acknowledged_ns INTEGER,
  note TEXT
);
CREATE INDEX alarms_by_end ON alarms (ended_ns);
CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  who TEXT NOT NULL,
  coil TEXT,
  position_mm REAL
);
CREATE INDEX events_by_time ON events (at_ns);
CREATE TABLE samples (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  camera TEXT NOT NULL,
  ingest_epoch INTEGER NOT NULL,
  frame_id INTEGER NOT NULL,
  captured_ns INTEGER NOT NULL,
  position_mm REAL NOT NULL,
  coil TEXT,
  decision TEXT NOT NULL,
  reasons TEXT NOT NULL,
  defects TEXT NOT NULL,
  classes TEXT NOT NULL,
  recipe TEXT NOT NULL,
  engine TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  UNIQUE (camera, ingest_epoch, frame_id, captured_ns)
);
CREATE TABLE reviews (
  id INTEGER PRIMARY KEY,
  sample_id INTEGER NOT NULL REFERENCES samples (id),
  answer TEXT NOT NULL,
  decision TEXT NOT NULL,
  mask BLOB NOT NULL,
  who TEXT NOT NULL,
  at_ns INTEGER NOT NULL,
  why TEXT NOT NULL,
  undone_ns INTEGER
);
CREATE UNIQUE INDEX one_review_per_sample ON reviews (sample_id) WHERE undone_ns IS NULL;
"""

_ADDED: Final = """
CREATE TABLE IF NOT EXISTS origins (
  sample_id INTEGER NOT NULL PRIMARY KEY REFERENCES samples (id) ON DELETE CASCADE,
  origin TEXT NOT NULL,
  chance REAL
)
"""
"""Why a frame was kept, and the chance with which a random one was drawn; made in a store of any version."""
_MARKED: Final = """
UPDATE samples SET source = 'marked'
WHERE source = 'uncertain' AND id IN (SELECT sample_id FROM origins WHERE origin = 'escape')
"""
"""An older inspector kept the frames that people added among the uncertain ones."""
_TABLES_SINCE_2: Final = """
CREATE TABLE looks (
  began_s INTEGER NOT NULL,
  camera TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  uninspected INTEGER NOT NULL,
  seen_accepted INTEGER NOT NULL,
  seen_rejected INTEGER NOT NULL,
  grey REAL NOT NULL,
  peak REAL NOT NULL,
  scores BLOB NOT NULL,
  PRIMARY KEY (began_s, camera)
);
CREATE TABLE plan_changes (
  id INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  plan TEXT NOT NULL,
  changed TEXT NOT NULL,
  identity TEXT NOT NULL,
  text_before TEXT NOT NULL
);
"""
_TABLES_SINCE_3: Final = """
ALTER TABLE alarms ADD COLUMN times INTEGER NOT NULL DEFAULT 1
"""
"""How often an alarm has begun since it was last acknowledged; `began_ns` is the last time."""


class UnknownError(InputError):
    """The requested object does not exist."""


class Store:
    """The page's folder: one SQLite file, and the frames kept for review."""

    def __init__(self, folder: Path) -> None:
        """Make folder and tables. Raises ConfigError if that is impossible."""
        self.folder = folder
        self.file = folder / STORE_NAME
        self.samples = folder / SAMPLES_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self.samples.mkdir(exist_ok=True, mode=0o750)
            if not self.file.exists():
                os.close(os.open(self.file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            with self.changing() as connection:
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                if found > VERSION:
                    raise ConfigError(f"{self.file}: was made by a newer inspector: install that one")
                for tables in (_TABLES, _TABLES_SINCE_2, _TABLES_SINCE_3)[found:]:
                    for statement in tables.split(";\n"):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute(_ADDED)
                connection.execute(_MARKED)
        except OSError as error:
            raise ConfigError(f"page.folder: {folder}: {error.strerror}: give another folder") from None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that reads. Raises WorkError if the database fails."""
        with self._opened() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that changes all or nothing. Raises WorkError if the database fails."""
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.file, timeout=BUSY_S, isolation_level=None)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
        except sqlite3.Error as error:
            raise WorkError(f"{self.file}: {error}") from None


def rows(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    """Return all rows as dictionaries."""
    return [dict(row) for row in found]
