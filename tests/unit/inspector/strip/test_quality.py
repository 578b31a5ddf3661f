"""Coil verdicts by a plan's rules, with their reasons; and what is refused at the door."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.config.recipe import load_recipe
from inspector.core.strip.clusters import densest
from inspector.core.strip.quality import CoilShape, CoilVerdict, judge_coil
from inspector.core.strip.surface import Box, Key, SurfaceDefect
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
    return SurfaceDefect(name, "top", Key("top", 1, f"{name}{from_head_m}", None), box, area_mm2, 0.9)


def judged(tmp_path: Path, rules: str, defects: list[SurfaceDefect], uninspected_mm: float = 0.0) -> Any:
    path = tmp_path / "recipe.toml"
    path.write_text(HEAD + rules)
    return judge_coil(defects, load_recipe(path).recipe.coil.bind(), SHAPE, uninspected_mm)


def rule(name: str, verdict: str, limit: str, **more: object) -> str:
    """One rule as TOML."""
    keys = {"class": name, "verdict": verdict, **more}
    lines = [f"{key} = {value!r}" for key, value in keys.items()]
    return "\n".join(["[[coil.rules]]", *lines, limit, ""])


PITS = '[[coil.rules]]\nclass = "pits"\nverdict = "hold"\n'

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
        "1 defect in the head: over 0 in a coil",
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
    "width": (
        rule("scratches", "hold", "max_width_mm = 9"),
        [defect("scratches", 30.0)],
        "hold",
        "scratches at 30.00 m, 500 mm across, 10 mm wide: over 9 mm",
    ),
    "cluster": (
        rule("pits", "hold", "cluster_mm = 100\nmax_in_cluster = 2"),
        [defect("pits", 40.0, 210), defect("pits", 40.05, 290), defect("pits", 40.1, 240), defect("pits", 9, 240)],
        "hold",
        "3 pits within 100 mm from 40.00 m, 210 mm across: over 2",
    ),
    "no cluster": (
        rule("pits", "hold", "cluster_mm = 100\nmax_in_cluster = 2"),
        [defect("pits", 40.0, 210), defect("pits", 40.05, 311), defect("pits", 40.101, 240)],
        "release",
        None,
    ),
    "a cluster of one class": (
        rule("pits", "hold", "cluster_mm = 100\nmax_in_cluster = 1"),
        [defect("pits", 40.0), defect("scratches", 40.01)],
        "release",
        None,
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
        ('[[coil.rules]]\nclass = "pits"\nverdict = "hold"\n', "a rule needs a limit: max_per_coil"),
        ('[[coil.rules]]\nclass = "pits"\nverdict = "scrap"\nmax_per_m = 1\n', "coil.rules.0.verdict"),
        (f'{PITS}zone = "middle"\nmax_per_m = 1\n', "coil.rules.0.zone"),
        (f"{PITS}cluster_mm = 5\n", "cluster_mm and max_in_cluster belong together"),
        (f"{PITS}max_in_cluster = 5\n", "cluster_mm and max_in_cluster belong together"),
        (f"{PITS}cluster_mm = 0\nmax_in_cluster = 5\n", "coil.rules.0.cluster_mm"),
        (f"{PITS}cluster_mm = 5\nmax_in_cluster = 0\n", "coil.rules.0.max_in_cluster"),
        (f"{PITS}max_per_metre = 5\n", "coil.rules.0.max_per_metre"),
        (f"{PITS}max_per_coil = -1\n", "coil.rules.0.max_per_coil"),
        (f"{PITS}max_per_m = 1.5\n", "coil.rules.0.max_per_m"),
        (f"{PITS}max_length_mm = nan\n", "coil.rules.0.max_length_mm"),
        (f"{PITS}max_width_mm = -1\n", "coil.rules.0.max_width_mm"),
        (f'{PITS}max_area_mm2 = "much"\n', "coil.rules.0.max_area_mm2"),
        (f"{PITS}min_severity = 0\nmax_per_m = 1\n", "coil.rules.0.min_severity"),
        ("[coil]\nedge_mm = -1\n", "coil.edge_mm"),
        ("[coil]\nhead_m = -1\n", "coil.head_m"),
        ("[coil]\ntail_mm = 1\n", "coil.tail_mm"),
        ('[classes.cracks]\naction = "drop"\n', "classes.cracks.action"),
        ("[classes.cracks]\nthreshold = 1.5\n", "classes.cracks.threshold"),
        ("[classes.cracks]\nmin_area_mm2 = -1\n", "classes.cracks.min_area_mm2"),
        ("[classes.cracks]\nmin_length_mm = -1\n", "classes.cracks.min_length_mm"),
        ("[classes.cracks]\nmin_width_mm = inf\n", "classes.cracks.min_width_mm"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_at_the_door(tmp_path: Any, rules: Any, why: Any) -> None:
    """An unknown class, key or word, a limit that is missing or cannot be: one line with the key."""
    with pytest.raises(ConfigError, match=why) as refused:
        judged(tmp_path, rules, [])
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "recipe.toml") in str(refused.value)


def test_the_densest_square_is_the_one_that_trying_every_square_finds() -> None:
    """On random strips, sparse and dense."""
    random = np.random.default_rng(1)
    for count in (1, 5, 40, 200):
        along, across = np.sort(random.uniform(0, 2000, count)), random.uniform(0, 1500, count)
        found = densest(along.tolist(), across.tolist(), 150.0)
        tried = max(
            int(((along >= a) & (along <= a + 150) & (across >= b) & (across <= b + 150)).sum())
            for a in along
            for b in across
        )
        assert found.defects == tried
        inside = (along >= found.along_mm) & (along <= found.along_mm + 150)
        inside &= (across >= found.across_mm) & (across <= found.across_mm + 150)
        assert int(inside.sum()) == tried


def test_ten_thousand_defects_in_five_metres_take_seconds_at_most() -> None:
    """A coil full of spray must not delay the next coil's start."""
    random = np.random.default_rng(1)
    along, across = np.sort(random.uniform(0, 5000, 10_000)), random.uniform(0, 1500, 10_000)
    began_s = time.process_time()
    densest(along.tolist(), across.tolist(), 500.0)
    assert time.process_time() - began_s < 10
