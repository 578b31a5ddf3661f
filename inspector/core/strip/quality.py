"""A coil's verdict: release, downgrade or hold, by the rules of its plan, with a readable reason for each."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from inspector.core.strip.clusters import densest
from inspector.core.strip.coils import SAME_PLACE_MM
from inspector.core.strip.surface import SurfaceDefect
from inspector.numbers import thousands

WINDOW_MM: Final = 1000.0
"""Length that `max_per_m` refers to."""

ANY: Final = "*"


class CoilVerdict(StrEnum):
    """The verdict on a coil."""

    RELEASE = "release"
    DOWNGRADE = "downgrade"
    HOLD = "hold"


RANK: Final = (CoilVerdict.RELEASE, CoilVerdict.DOWNGRADE, CoilVerdict.HOLD)
"""From best to worst; the worst one counts."""


class Zone(StrEnum):
    """Part of a coil."""

    ANY = "any"
    EDGE = "edge"
    CENTRE = "centre"
    HEAD = "head"
    TAIL = "tail"
    BODY = "body"
    """The coil without head and tail."""


class CoilRule(msgspec.Struct, frozen=True):
    """One limit; a coil over it gets `verdict`."""

    name: str
    """A class, or `*` for all classes."""
    verdict: CoilVerdict
    zone: Zone = Zone.ANY
    min_severity: int = 1
    max_per_coil: int | None = None
    max_per_m: int | None = None
    max_length_mm: float | None = None
    """Longest single defect."""
    max_width_mm: float | None = None
    """Widest single defect."""
    max_area_mm2: float | None = None
    """Largest single defect."""
    cluster_mm: float | None = None
    """Side of the square in which `max_in_cluster` counts."""
    max_in_cluster: int | None = None


class CoilRules(msgspec.Struct, frozen=True):
    """A plan's rules for coils."""

    rules: tuple[CoilRule, ...] = ()
    severity_mm2: dict[str, tuple[float, ...]] = {}
    """Areas from which a defect has severity 2, 3, …; below the first one, or without any, it has severity 1."""
    edge_mm: float = 50.0
    head_mm: float = 0.0
    tail_mm: float = 0.0
    max_uninspected_mm: float | None = None
    """Most uninspected steel; more than this holds the coil."""


class CoilShape(msgspec.Struct, frozen=True):
    """The coil's place on the strip."""

    start_mm: float
    end_mm: float
    left_mm: float
    right_mm: float
    """Positions of the edges across."""


class RatedDefect(msgspec.Struct, frozen=True):
    """A defect as the coil's plan rates it."""

    name: str
    side: str
    from_head_mm: float
    across_mm: float
    length_mm: float
    width_mm: float
    area_mm2: float
    severity: int
    score: float
    cameras: tuple[str, ...]
    edge_mm: float | None = None
    """From its border to the strip's nearer edge; None where no edge was found."""


class Judged(msgspec.Struct, frozen=True):
    """A coil's verdict."""

    verdict: CoilVerdict
    reasons: tuple[str, ...]
    defects: tuple[RatedDefect, ...]
    """Ordered from head to tail."""


def rate(defect: SurfaceDefect, rules: CoilRules, shape: CoilShape) -> RatedDefect:
    """Rate a defect by the coil's plan."""
    limits = rules.severity_mm2.get(defect.name, ())
    return RatedDefect(
        defect.name,
        defect.side,
        round(defect.along_mm - shape.start_mm, 1),
        round(defect.across_mm, 1),
        round(defect.length_mm, 1),
        round(defect.width_mm, 1),
        round(defect.area_mm2, 1),
        1 + sum(defect.area_mm2 >= limit for limit in limits),
        round(defect.score, 3),
        tuple(sorted(defect.cameras)),
        defect.edge_mm,
    )


def judge_coil(
    defects: Sequence[SurfaceDefect],
    rules: CoilRules,
    shape: CoilShape,
    uninspected_mm: float,
    also: Sequence[tuple[CoilVerdict, str]] = (),
) -> Judged:
    """Apply every rule. `also` holds other findings, such as roll marks."""
    rated = tuple(sorted((rate(each, rules, shape) for each in defects), key=lambda each: each.from_head_mm))
    found: list[tuple[CoilVerdict, str]] = list(also)
    for rule in rules.rules:
        found += [(rule.verdict, why) for why in _broken(rule, rated, rules, shape)]
    if rules.max_uninspected_mm is not None and uninspected_mm > rules.max_uninspected_mm:
        found.append(
            (
                CoilVerdict.HOLD,
                f"{uninspected_mm / 1000:.1f} m were not inspected: over {rules.max_uninspected_mm / 1000:g} m",
            )
        )
    if shape.end_mm - shape.start_mm - uninspected_mm < SAME_PLACE_MM:
        found.append((CoilVerdict.HOLD, "no part of it was inspected over its whole width"))
    worst = max((verdict for verdict, _ in found), key=RANK.index, default=CoilVerdict.RELEASE)
    found.sort(key=lambda each: -RANK.index(each[0]))
    return Judged(worst, tuple(f"{verdict}: {why}" for verdict, why in found), rated)


def _broken(rule: CoilRule, rated: Sequence[RatedDefect], rules: CoilRules, shape: CoilShape) -> list[str]:
    counted = [
        each
        for each in rated
        if rule.name in (ANY, each.name)
        and each.severity >= rule.min_severity
        and in_zone(each, rule.zone, rules, shape)
    ]
    if not counted:
        return []
    what = rule.name if rule.name != ANY else "defect" if len(counted) == 1 else "defects"
    what += f" of severity {rule.min_severity} or more" if rule.min_severity > 1 else ""
    what += "" if rule.zone is Zone.ANY else f" in the {rule.zone}"
    why: list[str] = []
    if rule.max_per_coil is not None and len(counted) > rule.max_per_coil:
        why.append(f"{len(counted)} {what}: over {rule.max_per_coil} in a coil")
    if rule.max_per_m is not None:
        most, at_mm = _fullest_metre(counted)
        if most > rule.max_per_m:
            why.append(f"{most} {what} in a metre from {at_mm / 1000:.1f} m: over {rule.max_per_m}")
    if rule.cluster_mm is not None and rule.max_in_cluster is not None:
        cluster = densest([d.from_head_mm for d in counted], [d.across_mm for d in counted], rule.cluster_mm)
        if cluster.defects > rule.max_in_cluster:
            why.append(
                f"{cluster.defects} {what} within {rule.cluster_mm:g} mm from {cluster.along_mm / 1000:.2f} m, "
                f"{cluster.across_mm:.0f} mm across: over {rule.max_in_cluster}"
            )
    return why + _singles(rule, counted)


def _singles(rule: CoilRule, counted: Sequence[RatedDefect]) -> list[str]:
    """What is wrong with single defects."""
    why: list[str] = []
    for each in counted:
        if rule.max_length_mm is not None and each.length_mm > rule.max_length_mm:
            limit = thousands(rule.max_length_mm)
            why.append(_single(each, f"{thousands(each.length_mm)} mm long: over {limit} mm"))
        if rule.max_width_mm is not None and each.width_mm > rule.max_width_mm:
            limit = thousands(rule.max_width_mm)
            why.append(_single(each, f"{thousands(each.width_mm)} mm wide: over {limit} mm"))
        if rule.max_area_mm2 is not None and each.area_mm2 > rule.max_area_mm2:
            limit = thousands(rule.max_area_mm2)
            why.append(_single(each, f"{thousands(each.area_mm2)} mm²: over {limit} mm²"))
    return why


def _single(defect: RatedDefect, why: str) -> str:
    return f"{defect.name} at {defect.from_head_mm / 1000:.2f} m, {defect.across_mm:.0f} mm across, {why}"


def _fullest_metre(counted: Sequence[RatedDefect]) -> tuple[int, float]:
    """Return (most defects in a metre, where that metre begins)."""
    first, most, at_mm = 0, 0, 0.0
    for last, each in enumerate(counted):
        while each.from_head_mm - counted[first].from_head_mm > WINDOW_MM:
            first += 1
        if last - first + 1 > most:
            most, at_mm = last - first + 1, counted[first].from_head_mm
    return most, at_mm


def in_zone(defect: RatedDefect, zone: Zone, rules: CoilRules, shape: CoilShape) -> bool:
    """Return whether a defect lies in this part of the coil."""
    if zone in (Zone.EDGE, Zone.CENTRE):
        near_mm = defect.edge_mm
        if near_mm is None:
            centre_mm = min(defect.across_mm - shape.left_mm, shape.right_mm - defect.across_mm)
            near_mm = centre_mm - defect.width_mm / 2
        return (near_mm < rules.edge_mm) == (zone is Zone.EDGE)
    head = defect.from_head_mm < rules.head_mm
    tail = defect.from_head_mm >= shape.end_mm - shape.start_mm - rules.tail_mm
    return {Zone.HEAD: head, Zone.TAIL: tail, Zone.BODY: not head and not tail}.get(zone, True)


def counts(rated: Sequence[RatedDefect]) -> dict[str, int]:
    """Return the number of defects by class."""
    return dict(Counter(each.name for each in rated))
