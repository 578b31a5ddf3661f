"""Coils as the strip process stored them: grade, plan, verdict with its reasons, roll marks."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, RowMapping, inspect, text

from inspector.sinks.coil_results import RESULTS_FOLDER, CoilResult, read_result

MOST_CARDS: Final = 5_000
"""Newest coils that a search looks at."""

_CARDS: Final = """
SELECT number, coil, grade, customer, width_mm, thickness_mm, stated_length_mm, started_ns, ended_ns, start_mm,
  end_mm, length_mm, plan, plan_why, recipe, verdict, reasons, defects, counts, uninspected_mm, roll_marks
FROM coils {where} ORDER BY started_ns DESC LIMIT :most
"""

EARLY_NS: Final = 2_000_000_000
"""How long before its card begins a frame may name its coil, ns."""
MOST_PASSES: Final = 50
"""Newest passes of one name that are told apart."""

Card = dict[str, Any]


def read_cards(connection: Connection, coil: str | None = None) -> dict[str, list[Card]]:
    """Return coil → its cards, newest first: of one coil, or of all. A name may come again."""
    if not inspect(connection).has_table("coils"):
        return {}  # the database of an older version, which no line of this one has used yet
    where = "" if coil is None else "WHERE coil = :coil"
    found: dict[str, list[Card]] = {}
    for row in connection.execute(text(_CARDS.format(where=where)), {"most": MOST_CARDS, "coil": coil}).mappings():
        found.setdefault(row["coil"], []).append(_card(row))
    return found


def _card(row: RowMapping) -> Card:
    ended_ns = row["ended_ns"]
    return dict(row) | {
        "started_ms": row["started_ns"] // 1_000_000,
        "ended_ms": None if ended_ns is None else ended_ns // 1_000_000,
        "reasons": json.loads(row["reasons"] or "[]"),
        "counts": json.loads(row["counts"] or "{}"),
        "roll_marks": json.loads(row["roll_marks"] or "[]"),
    }


def card_of(cards: Iterable[Card], from_ns: int, to_ns: int) -> Card | None:
    """Return the newest card whose coil was on the line at that time; None without one."""
    for card in cards:
        if card["started_ns"] <= to_ns and (card["ended_ns"] is None or card["ended_ns"] >= from_ns):
            return card
    return None


def turns(cards: Sequence[Card]) -> tuple[int, ...]:
    """Return the times between a coil's passes, rising: a name that comes again stands for another piece of strip.

    `cards` are those of one name, newest first. A frame may name its coil shortly before its card begins.
    """
    passes = list(cards[:MOST_PASSES])[::-1]
    return tuple(
        max(after["started_ns"] - EARLY_NS, ((before["ended_ns"] or 0) + after["started_ns"]) // 2)
        for before, after in pairwise(passes)
    )


def result_of(folder: Path | None, card: Card | None) -> CoilResult | None:
    """Return the result that the strip process wrote for a judged coil; None if it is not on this PC."""
    if folder is None or card is None or not card["verdict"]:
        return None
    try:
        result = read_result(folder / RESULTS_FOLDER / f"{card['number']:06d}.json")
    except (OSError, msgspec.DecodeError):
        return None  # of another line in the same database
    return result if result.id == card["coil"] else None


def roll_mark_places(result: CoilResult | None) -> list[dict[str, Any]]:
    """Return the places of a coil's roll marks, positions on the strip."""
    if result is None:
        return []
    return [
        {
            "text": mark.text,
            "name": mark.name,
            "side": mark.side,
            "period_mm": mark.period_mm,
            "across_mm": mark.across_mm,
            "from_mm": result.start_mm + mark.from_head_mm,
            "to_mm": result.start_mm + mark.to_head_mm,
        }
        for mark in result.roll_marks
    ]
