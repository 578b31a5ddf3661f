"""Events that people note, each with the coil and the place of the strip under the cameras at that time."""

import time
from typing import Any, Final, NamedTuple

from inspector.serve.audit import note
from inspector.serve.store import Store, rows

LATE_S: Final = 2.0
"""How long after its coil's last frame an event still belongs to the coil, seconds: its note takes a moment."""

PLACED_S: Final = 2.0
"""How long after an event its place is still known, seconds: the page remembers the strip for so long."""

_COLUMNS: Final = "id, at_ns / 1000000 AS at_ms, kind, text, who, coil, position_mm"


class Place(NamedTuple):
    """Where the strip is: its coil, and the position that has passed the cameras."""

    coil: str | None
    position_mm: float


def add_event(store: Store, kind: str, text: str, who: str, coil: str | None, position_mm: float | None) -> int:
    """Note an event at the present time; returns its number."""
    with store.changing() as connection:
        made = connection.execute(
            "INSERT INTO events (at_ns, kind, text, who, coil, position_mm) VALUES (?, ?, ?, ?, ?, ?)",
            (time.time_ns(), kind, text, who, coil, position_mm),
        )
        note(connection, who, "event noted", kind, text)
        return int(made.lastrowid or 0)


def add_placed_event(
    store: Store, kind: str, text: str, who: str, now: Place | None, coil: str | None = None,
    position_mm: float | None = None,
) -> int:  # fmt: skip
    """Note an event; without a position of its own it gets the present one, unless it is about another coil."""
    if now is not None and position_mm is None and coil in (None, now.coil):
        coil, position_mm = now
    return add_event(store, kind, text, who, coil, position_mm)


def unplaced(store: Store) -> list[tuple[int, int]]:
    """Return number and time of the events that were just noted elsewhere, by a command, without a place."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT id, at_ns FROM events WHERE at_ns > ? AND coil IS NULL AND position_mm IS NULL",
            (time.time_ns() - round(PLACED_S * 1e9),),
        )
        return [(row["id"], row["at_ns"]) for row in found]


def place_event(store: Store, event: int, place: Place) -> None:
    """Store where the strip was at an event."""
    with store.changing() as connection:
        connection.execute(
            "UPDATE events SET coil = ?, position_mm = ? WHERE id = ?", (place.coil, place.position_mm, event)
        )


def events(store: Store, count: int) -> list[dict[str, Any]]:
    """Return the newest events, newest first."""
    with store.reading() as connection:
        return rows(connection.execute(f"SELECT {_COLUMNS} FROM events ORDER BY id DESC LIMIT ?", (count,)))  # noqa: S608


def placed_events(store: Store, count: int, from_ns: int) -> list[dict[str, Any]]:
    """Return the newest events since a time that have a place on the strip, newest first."""
    with store.reading() as connection:
        return rows(
            connection.execute(
                f"SELECT {_COLUMNS} FROM events WHERE at_ns >= ? AND position_mm IS NOT NULL "  # noqa: S608
                "ORDER BY id DESC LIMIT ?",
                (from_ns, count),
            )
        )


def coil_events(store: Store, summary: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return a coil's events, oldest first: those while it ran, and later ones about it without a place."""
    from_ns, to_ns = summary["from_ns"], summary["to_ns"] + round(LATE_S * 1e9)
    with store.reading() as connection:
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM events WHERE coil IS ? AND at_ns >= ? "  # noqa: S608
            "AND (at_ns <= ? OR coil IS NOT NULL AND position_mm IS NULL) ORDER BY id LIMIT ?",
            (summary["coil"], from_ns, to_ns, count),
        )
        return rows(found)
