"""What was inspected, when, and with what."""

from collections.abc import Sequence
from datetime import UTC, datetime

from inspector.sinks.coil_map import CoilMap
from inspector.sinks.number_text import metres
from inspector.sinks.run_figures import RunFigures
from inspector.sinks.run_ledger import Summary


def identity(
    figures: RunFigures, summary: Summary | None, coils: Sequence[str], maps: Sequence[CoilMap]
) -> tuple[tuple[str, str], ...]:
    """Names and values for the head of the report; every recipe and engine that gave a verdict is named."""
    cameras = sorted({camera for camera, _ in figures.strips})
    recipes = list(figures.recipes) or ([summary.recipe] if summary else [])
    engines = list(figures.engines) or ([summary.engine] if summary else [])
    strip = "none"
    if maps:
        end_mm = max(drawn.start_mm + drawn.length_mm for drawn in maps)
        strip = f"{metres(min(drawn.start_mm for drawn in maps))} to {metres(end_mm)}"
    rows = [
        ("coil", _some(coils) or "not named"),
        ("camera", _some(cameras) or "none"),
        ("strip", strip),
        ("recipe", _some(recipes) or "none"),
        ("engine", _some(engines) or "none"),
    ]
    if summary:
        rows.append(("config", summary.config))
    return tuple(rows)


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def captured_when(figures: RunFigures) -> str:
    """First and last capture, UTC."""
    if figures.first_ns is None or figures.last_ns is None:
        return ""
    first, last = (datetime.fromtimestamp(ns // 10**9, UTC) for ns in (figures.first_ns, figures.last_ns))
    end = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"captured {first:%Y-%m-%d %H:%M:%S} to {end} UTC"
