"""SQLite's file for a process that may only read it."""

import sqlite3
import urllib.parse
from pathlib import Path

from inspector.sinks.records.database import BUSY_S


def open_read_only(file: Path) -> sqlite3.Connection:
    """Open the file for reading only. Raises sqlite3.Error.

    In a folder of another user, the write-ahead log cannot be made when no line runs. Then nobody writes, and the
    file is read as it is.
    """
    name = urllib.parse.quote(str(file))
    try:
        return _settled(f"file:{name}?mode=ro")
    except sqlite3.OperationalError:
        if Path(f"{file}-wal").exists():
            raise
        return _settled(f"file:{name}?mode=ro&immutable=1")


def _settled(uri: str) -> sqlite3.Connection:
    """Open, and read once: only a read finds out whether the write-ahead log can be used."""
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
