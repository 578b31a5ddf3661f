"""The head of the report: what was inspected, when, and with what."""

from collections.abc import Sequence

from inspector.numbers import thousands
from inspector.render.local_time import local, moment, offset
from inspector.render.numbers import length, share
from inspector.report.run_figures import RunFigures
from inspector.report.run_ledger import Summary
from inspector.report.run_rules import RunRules
from inspector.report.strip_length import Covered
from inspector.report.verdict_files import Selection


def identity(
    figures: RunFigures,
    summary: Summary | None,
    rules: RunRules | None,
    coils: Sequence[str],
    selection: Selection,
) -> tuple[tuple[str, str], ...]:
    """Return names and values for the head of the report, with every recipe and engine that made a verdict."""
    cameras = sorted({camera for camera, _, _ in figures.strips})
    recipes = list(figures.recipes) or ([summary.recipe] if summary else [])
    engines = list(figures.engines) or ([summary.engine] if summary else [])
    config = summary.config if summary else rules.config if rules else None
    rows = [
        ("coil" if len(coils) < 2 else "coils", _some(coils) or "not named"),
        ("camera" if len(cameras) < 2 else "cameras", _some(cameras) or "none"),
        ("recipe", _some(recipes) or "none"),
        ("engine", _some(engines) or "none"),
    ]
    if rules is not None:
        rows.insert(0, ("line", rules.line))
    if config is not None:
        rows.append(("config", config))
    if rules is not None and rules.mm_per_px is not None:
        across, along = rules.mm_per_px
        rows.append(("one pixel", f"{across:g} × {along:g} mm (across × along)"))
    if rules is not None and rules.deadline_ms is not None:
        rows.append(("deadline", f"{thousands(rules.deadline_ms)} ms from capture to verdict"))
    if not selection.everything:
        rows.append(("only", _only(selection)))
    return tuple(rows)


def _only(selection: Selection) -> str:
    parts = [f"coil {selection.coil}"] if selection.coil is not None else []
    if selection.since_ns is not None:
        parts.append(f"the last {selection.last}, since {moment(selection.since_ns)}")
    return ", ".join(parts)


def strip_lengths(lengths: Sequence[Covered], cameras: int) -> tuple[tuple[str, str, str], ...]:
    """Return (name, length, share) of the strip inspected, rejected and not inspected."""
    inspected_mm = sum(each.inspected_mm for each in lengths)
    rejected_mm = sum(each.rejected_mm for each in lengths)
    blind_mm = sum(each.uninspected_mm for each in lengths)
    over = f"over {cameras} cameras" if cameras > 1 else ""
    return (
        ("strip inspected", length(inspected_mm), over),
        ("strip rejected", length(rejected_mm), share(rejected_mm, inspected_mm)),
        ("strip not inspected", length(blind_mm), share(blind_mm, inspected_mm + blind_mm)),
    )


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def title(figures: RunFigures, coils: Sequence[str], rules: RunRules | None) -> str:
    """Return the report's title with the time of its first frame."""
    if len(coils) == 1:
        what = f"Coil {coils[0]}"
    elif coils:
        what = f"{len(coils)} coils"
    else:
        what = f"Line {rules.line}" if rules else "Strip inspection"
    if figures.first_ns is None:
        return what
    return f"{what}, {local(figures.first_ns):%Y-%m-%d %H:%M}"


def captured_when(figures: RunFigures) -> str:
    """First and last capture in local time of this PC, with its offset from UTC."""
    if figures.first_ns is None or figures.last_ns is None:
        return ""
    first, last = local(figures.first_ns), local(figures.last_ns)
    if first.utcoffset() != last.utcoffset():
        return f"captured {moment(figures.first_ns)} to {moment(figures.last_ns)}"
    end = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"captured {first:%Y-%m-%d %H:%M:%S} to {end}, UTC{offset(first)}"
