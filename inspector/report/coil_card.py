"""The part of a coil's report about the whole coil: verdict, reasons, plan, roll marks, worst defects."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspector.config.line import LoadedConfig, load_config
from inspector.core.strip.quality import CoilVerdict, RatedDefect
from inspector.errors import InspectorError
from inspector.numbers import thousands
from inspector.render.local_time import moment
from inspector.render.numbers import length, metres
from inspector.report.coil_sides import CoilSide, SeverityRow, coil_sides, severity_rows
from inspector.report.verdict_files import CoilSpan
from inspector.results import CONFIG_NAME
from inspector.sinks.coil_results import CoilResult, find_result

WORST: Final = 20
"""Most defects in the table."""

MOST_BLIND: Final = 12
"""Most uninspected stretches that are listed."""

TONES: Final = {CoilVerdict.RELEASE: "good", CoilVerdict.DOWNGRADE: "warn", CoilVerdict.HOLD: "bad"}


@dataclass(frozen=True, slots=True)
class CoilCard:
    """Everything the template shows about one coil."""

    id: str
    verdict: str
    tone: str
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    roll_marks: tuple[str, ...]
    defects: tuple[RatedDefect, ...]
    """The worst defects, worst first."""
    blind: str
    sides: tuple[CoilSide, ...]
    severities: tuple[int, ...]
    rows: tuple[SeverityRow, ...]
    """Defects by kind; one column for each of the severities."""


def find_coil(folder: Path, config: LoadedConfig | None, coil: str | None) -> CoilResult | None:
    """Return the newest result of this coil; None without a `[strip]` table, or if the coil has no verdict yet."""
    if coil is None:
        return None
    if config is None:
        resolved = folder / CONFIG_NAME
        if not resolved.exists():
            return None
        try:
            config = load_config(resolved)
        except InspectorError:
            return None  # the report explains an unreadable config where it shows the rules
    # A replay has no strip process, and keeps the results of its coils in its own folder.
    own = folder / "strip"
    return find_result(own if config.line.strip is None else config.line.strip.folder, coil)


def span_of(result: CoilResult) -> CoilSpan:
    """Return the coil's stretch of strip."""
    return CoilSpan(result.start_mm, result.end_mm, result.started_ns, result.ended_ns)


def coil_card(result: CoilResult, kinds: Mapping[str, int]) -> CoilCard:
    """Turn the result into text for the template. `kinds` are the numbers of the classes."""
    facts = [
        ("grade", result.grade or "not stated"),
        ("customer", result.customer or "not stated"),
        ("length", _length(result)),
        ("stated size", _size(result)),
        ("from", f"{moment(result.started_ns)} at {metres(result.start_mm)}"),
        ("to", f"{moment(result.ended_ns)} at {metres(result.end_mm)}"),
        ("plan", f"{result.plan or 'default'}, {result.recipe} ({result.plan_why})"),
        ("judged by", ", ".join((*result.recipes, *result.engines)) or "no frame"),
        ("defects", _counts(result)),
        ("not inspected", length(result.uninspected_mm)),
    ]
    if result.end_why:
        facts.append(("its end", result.end_why))
    worst = sorted(result.defects, key=lambda each: (-each.severity, -each.area_mm2))[:WORST]
    blind = [f"{metres(first)} to {metres(last)}" for first, last in result.uninspected[:MOST_BLIND]]
    left = len(result.uninspected) - len(blind)
    return CoilCard(
        result.id,
        result.verdict,
        TONES.get(CoilVerdict(result.verdict), "none"),
        result.reasons,
        tuple(facts),
        tuple(mark.text for mark in result.roll_marks),
        tuple(worst),
        ", ".join(blind) + (f" and {left} more" if left else ""),
        coil_sides(result, kinds),
        *severity_rows(result, kinds),
    )


def _length(result: CoilResult) -> str:
    stated = f" ({length(result.stated_length_mm)} stated)" if result.stated_length_mm else ""
    return length(result.length_mm) + stated


def _size(result: CoilResult) -> str:
    parts = [f"{value:g}" for value in (result.width_mm, result.thickness_mm) if value is not None]
    return " × ".join(parts) + " mm" if parts else "not stated"


def _counts(result: CoilResult) -> str:
    by_name = ", ".join(f"{thousands(count)} {name}" for name, count in sorted(result.counts.items()))
    severe = ", ".join(f"{count} of severity {each}" for each, count in sorted(result.severities.items()))
    return "; ".join(filter(None, (by_name, severe))) or "none"
