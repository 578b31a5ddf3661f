"""The table of kinds: the rule for each, and what the verdicts contain of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from inspector.render.numbers import square_mm
from inspector.report.run_figures import KindRow
from inspector.report.run_rules import KindRule, RunRules


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind; unknown texts are empty."""

    kind: int
    name: str
    action: str
    threshold: str
    min_area: str
    found: KindRow | None
    """None if no defect of this kind was found."""


def kind_lines(found: Sequence[KindRow], rules: RunRules | None) -> tuple[KindLine, ...]:
    """Return a line for each kind that has a rule or was found, in the order of the kinds."""
    ruled = {rule.name: rule for rule in rules.kinds} if rules else {}
    lines = [_line(row.kind, row.name, ruled.get(row.name), row) for row in found]
    names = {row.name for row in found}
    # Without the engine, a kind that was not found has no number and so no colour.
    lines += [_line(rule.kind, name, rule, None) for name, rule in ruled.items() if name not in names]
    return tuple(sorted(lines, key=lambda line: (line.kind or 256, line.name)))


def _line(kind: int, name: str, rule: KindRule | None, found: KindRow | None) -> KindLine:
    if rule is None:
        return KindLine(kind, name, "", "", "", found)
    return KindLine(
        kind,
        name,
        "reject" if rule.rejects else "record only",
        "the engine's" if rule.threshold is None else f"{rule.threshold:.3g}",
        _least_area(rule.min_area_mm2),
        found,
    )


def _least_area(min_area_mm2: float | None) -> str:
    if min_area_mm2 is None:
        return "the engine's"
    return square_mm(min_area_mm2) if min_area_mm2 > 0 else "any"
