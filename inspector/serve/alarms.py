"""Alarms: the line's findings with begin, end and acknowledgement."""

import time
from collections.abc import Sequence
from typing import Any, Final

from inspector.errors import InputError
from inspector.monitoring.client import alarm_key
from inspector.serve.audit import note
from inspector.serve.store import Store, UnknownError, rows

MOST_SHOWN: Final = 50
"""Most alarms that the live page gets; it says how many there are."""

_OPEN: Final = "ended_ns IS NULL OR acknowledged_ns IS NULL"

_COLUMNS: Final = (
    "id, text, began_ns / 1000000 AS began_ms, ended_ns / 1000000 AS ended_ms, times, acknowledged_by, "
    "acknowledged_ns / 1000000 AS acknowledged_ms, note"
)


class Alarms:
    """Turns findings into alarms that begin and end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.reading() as connection:
            found = connection.execute("SELECT key, text FROM alarms WHERE ended_ns IS NULL ORDER BY id")
            self._open = {row["key"]: row["text"] for row in found}

    def update(self, findings: Sequence[str]) -> None:
        """Begin an alarm for each new finding, and end those of findings that are gone. Raises WorkError."""
        now = {alarm_key(finding): finding for finding in findings}
        if now.keys() == self._open.keys():
            return
        at_ns = time.time_ns()
        with self._store.changing() as connection:
            for key in self._open.keys() - now.keys():
                connection.execute(
                    "UPDATE alarms SET ended_ns = ? WHERE key = ? AND ended_ns IS NULL", (at_ns, key)
                )
            for key in (each for each in now if each not in self._open):
                # An alarm that comes and goes stays the same alarm until it is acknowledged.
                again = connection.execute(
                    "UPDATE alarms SET ended_ns = NULL, text = ?, began_ns = ?, times = times + 1 "
                    "WHERE key = ? AND acknowledged_ns IS NULL",
                    (now[key], at_ns, key),
                )
                if not again.rowcount:
                    connection.execute(
                        "INSERT INTO alarms (key, text, began_ns) VALUES (?, ?, ?)", (key, now[key], at_ns)
                    )
        self._open = now


def shown_alarms(store: Store, count: int = MOST_SHOWN) -> list[dict[str, Any]]:
    """Return active alarms, and ended ones that nobody acknowledged, newest first."""
    with store.reading() as connection:
        return rows(
            connection.execute(
                f"SELECT {_COLUMNS} FROM alarms WHERE {_OPEN} "  # noqa: S608
                "ORDER BY ended_ns IS NOT NULL, began_ns DESC, id DESC LIMIT ?",
                (count,),
            )
        )


def count_shown(store: Store) -> int:
    """Return how many alarms are active, or ended and not acknowledged."""
    with store.reading() as connection:
        return int(connection.execute(f"SELECT COUNT(*) FROM alarms WHERE {_OPEN}").fetchone()[0])  # noqa: S608


def past_alarms(store: Store, count: int) -> list[dict[str, Any]]:
    """Return all alarms, the unacknowledged ones first, then those that stand, then newest first."""
    with store.reading() as connection:
        return rows(
            connection.execute(
                f"SELECT {_COLUMNS} FROM alarms ORDER BY acknowledged_ns IS NOT NULL, "  # noqa: S608
                "ended_ns IS NOT NULL, began_ns DESC, id DESC LIMIT ?",
                (count,),
            )
        )


def acknowledge(store: Store, alarm: int, who: str, why: str) -> None:
    """Acknowledge an alarm. Raises InputError if it is unknown or already acknowledged."""
    with store.changing() as connection:
        row = connection.execute("SELECT text, acknowledged_by FROM alarms WHERE id = ?", (alarm,)).fetchone()
        if row is None:
            raise UnknownError(f"alarm {alarm}: no such alarm")
        if row["acknowledged_by"] is not None:
            raise InputError(f"alarm {alarm}: {row['acknowledged_by']} has acknowledged it")
        connection.execute(
            "UPDATE alarms SET acknowledged_by = ?, acknowledged_ns = ?, note = ? WHERE id = ?",
            (who, time.time_ns(), why, alarm),
        )
        note(connection, who, "alarm acknowledged", row["text"], why)
