"""The plan of each unit: that of its coil when the line judged it, by the records."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import select

from inspector.config.line import LineConfig
from inspector.errors import ConfigError
from inspector.reinspect.units import Unit
from inspector.sinks.records.database import Database
from inspector.sinks.records.schema import COILS

BEFORE_START_NS: Final = 60 * 10**9
"""Longest time between the capture of a coil's first frame and its reported start, ns."""

Starts = dict[str, list[tuple[int, str]]]
"""Coil → start, ns since 1970, and plan each time that it was on the line, oldest first."""


def with_plans(line: LineConfig, units: Sequence[Unit]) -> tuple[list[Unit], dict[str, str]]:
    """Return the units with the plans of their coils, and why the other ones get the line's recipe.

    Raises WorkError if the records fail.
    """
    if not line.plans:
        return list(units), {}
    starts = _starts(line)
    found, unknown = [], {}
    for unit in units:
        plans = {_plan(starts, coil, at_ns) for coil, at_ns in _coils(unit).items()}
        (plan,) = plans if len(plans) == 1 else (None,)
        if len(plans) > 1:
            unknown[unit.name] = "its coils have several plans, or the records do not name them"
        elif plan is None and plans:
            unknown[unit.name] = "the records do not name the plan of its coil"
        elif plan and plan not in line.plans:
            unknown[unit.name] = f"its plan {plan} is no longer in the config"
        found.append(unit if plan not in line.plans else replace(unit, plan=plan))
    return found, unknown


def _coils(unit: Unit) -> dict[str | None, int]:
    """The coils of a unit, and the capture time of each one's first frame."""
    coils: dict[str | None, int] = {}
    for line in unit.lines():
        if line.captured_ns is not None:
            coils.setdefault(line.coil, line.captured_ns)
    return coils


def _plan(starts: Starts, coil: str | None, at_ns: int) -> str | None:
    """Name of a coil's plan, empty for the line's recipe; None if it is not on record."""
    if coil is None:
        return ""
    before = [plan for start_ns, plan in starts.get(coil, ()) if start_ns <= at_ns + BEFORE_START_NS]
    return before[-1] if before else None


def _starts(line: LineConfig) -> Starts:
    starts: Starts = defaultdict(list)
    records = Database(str(line.records.url))
    if records.file is not None and not records.file.exists():
        return starts
    of_line = COILS.c.line.startswith(f"{line.name}@", autoescape=True)
    query = select(COILS.c.coil, COILS.c.started_ns, COILS.c.plan).where(of_line).order_by(COILS.c.started_ns)
    try:
        with records.reading("reinspect") as connection, connection.begin():
            for row in connection.execute(query):
                starts[row.coil].append((row.started_ns, row.plan))
    except ConfigError:
        pass  # a database without tables has no coil on record
    return starts
