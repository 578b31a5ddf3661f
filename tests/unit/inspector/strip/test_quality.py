"""Coil verdicts by a plan's rules, with their reasons; and what is refused at the door."""

from pathlib import Path
from typing import Any

import pytest

from inspector.config.recipe import load_recipe
from inspector.core.strip.quality import CoilShape, CoilVerdict, judge_coil
from inspector.core.strip.surface import Box, SurfaceDefect
from inspector.errors import ConfigError

SHAPE = CoilShape(10_000.0, 110_000.0, 0.0, 1000.0)
"""100 m of a strip of 1 m."""

HEAD = """
name = "plan"
mm_per_px_across = 0.5
mm_per_px_along = 0.5
[classes.scratches]
[classes.pits]
"""


def defect(
    name: str, from_head_m: float, across_mm: float = 500.0, length_mm: float = 20.0, area_mm2: float = 100.0
) -> Any:
    start_mm = SHAPE.start_mm + 1000 * from_head_m - length_mm / 2
    box = Box(start_mm, start_mm + length_mm, across_mm - 5, across_mm + 5)
    return SurfaceDefect(name, "top", ("top", 1, f"{name}{from_head_m}"), box, area_mm2, 0.9)


def judged(tmp_path: Path, rules: str, defects: list[SurfaceDefect], uninspected_mm: float = 0.0) -> Any:
    path = tmp_path / "recipe.toml"
    path.write_text(HEAD + rules)
    return judge_coil(defects, load_recipe(path).recipe.coil.bind(), SHAPE, uninspected_mm)


def rule(name: str, verdict: str, limit: str, **more: object) -> str:
    """One rule as TOML."""
    keys = {"class": name, "verdict": verdict, **more}
    lines = [f"{key} = {value!r}" for key, value in keys.items()]
    return "\n".join(["[[coil.rules]]", *lines, limit, ""])


EDGE = "[coil]\nedge_mm = 50\n"
ENDS = "[coil]\nhead_m = 10\ntail_m = 5\n"
SEVERITY = "[coil.severity_mm2]\nscratches = [200, 1000]\n"

RULES = {
    "no rule": ("", [defect("pits", 5.0)], "release", None),
    "count": (
        rule("pits", "downgrade", "max_per_coil = 2"),
        [defect("pits", at) for at in (5, 50, 90)],
        "downgrade",
        "3 pits: over 2 in a coil",
    ),
    "density": (
        rule("*", "hold", "max_per_m = 2"),
        [defect("pits", 40.0), defect("scratches", 40.4), defect("pits", 40.9), defect("pits", 60)],
        "hold",
        "3 defects in a metre from 40.0 m: over 2",
    ),
    "centre is clean": (
        EDGE + rule("pits", "hold", "max_per_coil = 0", zone="centre"),
        [defect("pits", 40.0, across_mm=30.0), defect("pits", 41.0, across_mm=980.0)],
        "release",
        None,
    ),
    "edge": (
        EDGE + rule("pits", "hold", "max_per_coil = 0", zone="edge"),
        [defect("pits", 40.0, across_mm=30.0)],
        "hold",
        "1 pits in the edge: over 0 in a coil",
    ),
    "body is clean": (
        ENDS + rule("*", "hold", "max_per_coil = 0", zone="body"),
        [defect("pits", 9.0), defect("pits", 96.0)],
        "release",
        None,
    ),
    "head": (
        ENDS + rule("*", "downgrade", "max_per_coil = 0", zone="head"),
        [defect("pits", 9.0)],
        "downgrade",
        "1 defects in the head: over 0 in a coil",
    ),
    "severity": (
        SEVERITY + rule("scratches", "hold", "max_per_coil = 0", min_severity=3),
        [defect("scratches", 1.0, area_mm2=999.0), defect("scratches", 2.0, area_mm2=1000.0)],
        "hold",
        "1 scratches of severity 3 or more: over 0 in a coil",
    ),
    "length": (
        rule("scratches", "hold", "max_length_mm = 500"),
        [defect("scratches", 30.0, length_mm=812.0)],
        "hold",
        "scratches at 30.00 m, 500 mm across, 812 mm long: over 500 mm",
    ),
    "area": (
        rule("pits", "downgrade", "max_area_mm2 = 50"),
        [defect("pits", 30.0)],
        "downgrade",
        "pits at 30.00 m, 500 mm across, 100 mm²: over 50 mm²",
    ),
}


@pytest.mark.parametrize(("rules", "defects", "verdict", "reason"), RULES.values(), ids=RULES.keys())
def test_a_rule_and_its_reason(tmp_path: Any, rules: Any, defects: Any, verdict: Any, reason: Any) -> None:
    """Each kind of limit, zone and severity: what breaks it says so in one line, what does not is released."""
    found = judged(tmp_path, rules, defects)
    assert found.verdict is CoilVerdict(verdict)
    assert found.reasons == (() if reason is None else (f"{verdict}: {reason}",))


def test_the_worst_verdict_counts_and_stands_first(tmp_path: Any) -> None:
    """Downgraded by one rule, held by uninspected steel."""
    rules = (
        '[coil]\nmax_uninspected_m = 2\n[[coil.rules]]\nclass = "pits"\nverdict = "downgrade"\nmax_per_coil = 0\n'
    )
    found = judged(tmp_path, rules, [defect("pits", 5.0)], uninspected_mm=2500.0)
    assert found.verdict is CoilVerdict.HOLD
    assert found.reasons[0] == "hold: 2.5 m were not inspected: over 2 m"
    assert found.reasons[1].startswith("downgrade: 1 pits")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ('[[coil.rules]]\nclass = "dents"\nverdict = "hold"\nmax_per_m = 1\n', "coil: no class dents"),
        ("[coil.severity_mm2]\ndents = [1]\n", "coil: no class dents"),
        ("[coil.severity_mm2]\npits = [5, 3]\n", "areas must rise"),
        ('[[coil.rules]]\nclass = "pits"\nverdict = "hold"\n', "a rule needs max_per_coil"),
        ('[[coil.rules]]\nclass = "pits"\nverdict = "scrap"\nmax_per_m = 1\n', "coil.rules.0.verdict"),
        (
            '[[coil.rules]]\nclass = "pits"\nverdict = "hold"\nzone = "middle"\nmax_per_m = 1\n',
            "coil.rules.0.zone",
        ),
    ],
)
def test_a_plan_with_a_mistake_is_refused_at_the_door(tmp_path: Any, rules: Any, why: Any) -> None:
    """An unknown class, a limit that is missing, a word that is none of the words: one line with the key."""
    with pytest.raises(ConfigError, match=why):
        judged(tmp_path, rules, [])
