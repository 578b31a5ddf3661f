"""Coils of a replay: judged from its log, by its plan."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from inspector.backends.instant import write_engine
from inspector.config.line import LoadedConfig, load_config
from inspector.report.coil_card import find_coil
from inspector.strip.replayed import judge_replay
from tests.unit.inspector.strip.test_accounts import FRAME_MM, verdict


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


def write_log(folder: Path, coils: Any) -> None:
    lines = [
        msgspec.json.encode(msgspec.structs.replace(verdict(n, FRAME_MM * n, *places), coil=coil)) + b"\n"
        for n, (coil, places) in enumerate(coils)
    ]
    (folder / "verdicts.jsonl").write_bytes(b"".join(lines))


def test_each_coil_has_its_verdict(config: LoadedConfig) -> None:
    """Five frames of A with three pits, five of B with one; the frame between them belongs to none."""
    out = config.path.parent / "out"
    pit = ((10.0, 20.0),)
    write_log(out, [("A", pit if n < 3 else ()) for n in range(5)] + [(None, ())] + [("B", pit)] + [("B", ())] * 4)
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


def test_a_replay_without_coils_has_none(config: LoadedConfig) -> None:
    """And leaves no folder."""
    out = config.path.parent / "out"
    write_log(out, [(None, ())] * 3)
    assert judge_replay(config, out) == []
    assert not (out / "strip").exists()
