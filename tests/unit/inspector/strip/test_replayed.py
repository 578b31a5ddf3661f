"""Coils of a replay: judged from its log, by its plan."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from inspector.backends.instant import write_engine
from inspector.config.line import LoadedConfig, load_config
from inspector.report.coil_card import find_coil
from inspector.strip.replayed import judge_replay
from tests.unit.inspector.strip.test_coil_judge import FRAME_MM, verdict


@pytest.fixture
def config(tmp_path: Path) -> LoadedConfig:
    """A line whose plan allows two defects in a coil."""
    write_engine(tmp_path / "engine", height=100, width=200, classes=("normal", "pits"))
    (tmp_path / "recipe.toml").write_text(
        'name = "r"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.pits]\n[coil]\n[[coil.rules]]\n'
        'class = "pits"\nverdict = "downgrade"\nmax_per_coil = 2\n'
    )
    path = tmp_path / "line.toml"
    path.write_text(
        'name = "m"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.top]\ntype = "simulator"\n'
        '[sinks]\nout = "out"\n'
    )
    (tmp_path / "out").mkdir()
    return load_config(path)


def write_log(config: LoadedConfig, coils: Any) -> None:
    """A verdict for each (coil, pits), by the line's own recipe."""
    recipe = config.plans().default.identity
    verdicts = [
        msgspec.structs.replace(verdict(n, FRAME_MM * n, *places), coil=coil, recipe=recipe)
        for n, (coil, places) in enumerate(coils)
    ]
    log = config.path.parent / "out" / "verdicts.jsonl"
    log.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in verdicts))


def test_each_coil_has_its_verdict(config: LoadedConfig) -> None:
    """Five frames of A with three pits, five of B with one; the frame between them belongs to none."""
    out = config.path.parent / "out"
    pit = ((10.0, 20.0),)
    coils = [("A", pit if n < 3 else ()) for n in range(5)] + [(None, ())] + [("B", pit)] + [("B", ())] * 4
    write_log(config, coils)
    first, second = judge_replay(config, out)
    assert (first.id, first.verdict, first.count, first.frames) == ("A", "downgrade", 3, 5)
    assert first.reasons == ("downgrade: 3 pits: over 2 in a coil",)
    assert (first.start_mm, first.end_mm, first.uninspected_mm) == (0.0, 500.0, 0.0)
    assert (second.id, second.verdict, second.count, second.start_mm) == ("B", "release", 1, 600.0)
    assert first.plan_why == "the default plan"
    again = judge_replay(config, out)
    assert [each.number for each in again] == [1, 2], "a second time replaces the first"
    found = find_coil(out, config, "A")
    assert found is not None
    assert found.verdict == "downgrade"


def test_a_coil_that_comes_twice_has_two_verdicts(config: LoadedConfig) -> None:
    """What lies between its two parts belongs to the other coil; a torn line is left out."""
    out = config.path.parent / "out"
    pit = ((10.0, 20.0),)
    write_log(config, [("A", ())] * 5 + [("B", pit)] * 3 + [("A", ())] * 5)
    with (out / "verdicts.jsonl").open("ab") as log:
        log.write(b'{"camera": "to')
    found = judge_replay(config, out)
    assert [(each.id, each.verdict, each.count, each.frames) for each in found] == [
        ("A", "release", 0, 5), ("B", "downgrade", 3, 3), ("A", "release", 0, 5),
    ]  # fmt: skip
    assert [(each.start_mm, each.end_mm) for each in found] == [(0, 500), (500, 800), (800, 1300)]


def test_frames_of_two_cameras_that_do_not_adjoin_count_no_defect_twice(config: LoadedConfig) -> None:
    """The other camera's last frame of A reaches 40 mm into B."""
    text = config.path.read_text()
    config.path.write_text(text.replace("[sinks]", '[cameras.side]\ntype = "simulator"\n[sinks]'))
    config = load_config(config.path)
    out = config.path.parent / "out"
    lines = []
    for n in range(10):
        coil, pits = "A" if n < 5 else "B", [(20.0, 20.0)] if n == 5 else []
        lines.append(msgspec.structs.replace(verdict(n, FRAME_MM * n, *pits), coil=coil))
        lines.append(msgspec.structs.replace(verdict(n, FRAME_MM * n + 40), camera="side", coil=coil))
    (out / "verdicts.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    first, second = judge_replay(config, out)
    assert (first.count, second.count) == (0, 1)
    assert first.end_mm == second.start_mm == 500.0


def test_a_replay_without_coils_has_none(config: LoadedConfig) -> None:
    """And leaves no folder."""
    out = config.path.parent / "out"
    write_log(config, [(None, ())] * 3)
    assert judge_replay(config, out) == []
    assert not (out / "strip").exists()
