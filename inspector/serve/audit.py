"""The audit: who changed what on the page, and when."""

import sqlite3
import time
from typing import Any

from inspector.serve.store import Store, rows


def note(connection: sqlite3.Connection, who: str, what: str, subject: str, detail: str) -> None:
    """Store a change, in the transaction that makes it."""
    connection.execute(
        "INSERT INTO audit (at_ns, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (time.time_ns(), who, what, subject, detail),
    )


def newest(store: Store, count: int) -> list[dict[str, Any]]:
    """Return the newest entries, newest first."""
    with store.reading() as connection:
        return rows(
            connection.execute(
                "SELECT at_ns / 1000000 AS at_ms, who, what, subject, detail FROM audit ORDER BY id DESC LIMIT ?",
                (count,),
            )
        )
