"""Plans changed from the page: the file keeps its comments, and the line can always start with it."""

import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest

from inspector.backends.instant import write_engine
from inspector.config.line import LoadedConfig, load_config
from inspector.core.rules import EngineClasses
from inspector.engine.signature import open_trusted
from inspector.errors import InputError, WorkError
from inspector.serve.audit import newest
from inspector.serve.engines import engines
from inspector.serve.plan_files import changed_text
from inspector.serve.plans import change, plans
from inspector.serve.store import Store, UnknownError

PLAN = """# Our steel.
name = "steel"
mm_per_px_across = 0.5 # measured
mm_per_px_along = 0.5

[classes.pits]
threshold = 0.5   # chosen in May
min_area_mm2 = 4

# The bad ones.
[classes."deep cracks"]
action = "reject" # always

[coil]
edge_mm = 50

[[coil.rules]]
class = "pits"
max_per_coil = 3
verdict = "hold"
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "page")


@pytest.fixture
def config(tmp_path: Path) -> LoadedConfig:
    write_engine(tmp_path / "engines" / "now", classes=("normal", "pits", "deep cracks"))
    (tmp_path / "steel.toml").write_text(PLAN)
    (tmp_path / "soft.toml").write_text(PLAN.replace('"steel"', '"soft"'))
    (tmp_path / "line.toml").write_text(
        'name = "line"\nengine = "engines/now"\nrecipe = "steel.toml"\n'
        '[plans.soft]\nrecipe = "soft.toml"\ngrades = ["DC0*"]\n[cameras.top]\ntype = "simulator"\n'
    )
    return load_config(tmp_path / "line.toml")


@pytest.fixture
def classes(config: LoadedConfig) -> EngineClasses:
    return open_trusted(config.line.engine, ()).classes


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"pits": {"threshold": 0.25}}, "threshold = 0.25   # chosen in May"),
        ({"pits": {"min_width_mm": 2.5}}, "min_width_mm = 2.5"),
        ({"deep cracks": {"action": "record"}}, 'action = "record" # always'),
        ({"deep cracks": {"threshold": 0.9}}, "threshold = 0.9"),
    ],
)
def test_one_value_changes_and_the_rest_stays(changes: dict[str, Any], line: str) -> None:
    """Comments, order and the other tables stay as they were."""
    text = changed_text(PLAN, changes)
    [(name, keys)] = changes.items()
    assert tomllib.loads(text)["classes"][name] == tomllib.loads(PLAN)["classes"][name] | keys
    assert line in text.splitlines()
    kept = [each for each in PLAN.splitlines() if each in text.splitlines()]
    assert len(kept) >= len(PLAN.splitlines()) - 1
    assert text.index("# The bad ones.") < text.index('[classes."deep cracks"]')


def test_a_value_can_be_left_to_the_engine() -> None:
    """The key is removed; without a key nothing changes."""
    assert "threshold" not in changed_text(PLAN, {"pits": {"threshold": None}})
    assert changed_text(PLAN, {"deep cracks": {"threshold": None}}) == PLAN


@pytest.mark.parametrize(
    "text",
    [
        PLAN.replace("[classes.pits]\nthreshold = 0.5   # chosen in May\nmin_area_mm2 = 4", "")
        + "[classes]\npits = {threshold = 0.5}\n",
        PLAN.replace("threshold = 0.5   # chosen in May", '"threshold" = 0.5'),
        PLAN.replace('name = "steel"', 'name = """\n[classes.pits]\n"""'),
    ],
)
def test_a_file_in_another_style_is_refused_whole(text: str) -> None:
    """An inline table, a quoted key, a header inside of a text: nothing is guessed."""
    tomllib.loads(text)
    with pytest.raises(InputError, match="edit the file"):
        changed_text(text, {"pits": {"threshold": 0.25}})


def test_a_plan_is_changed_with_its_history(
    config: LoadedConfig, classes: EngineClasses, store: Store, tmp_path: Path
) -> None:
    """The file, the audit and the earlier text; the other plan stays."""
    before = plans(config, classes, store, "steel@1")
    assert [each["name"] for each in before] == ["", "soft"]
    assert before[1]["grades"] == ["DC0*"]
    assert before[0]["classes"][0]["given"]["threshold"] == 0.5
    made = change(
        config, classes, store, "soft", before[1]["identity"], {"pits": {"threshold": 0.3}}, "kim", "soft"
    )
    after = plans(config, classes, store, made)
    assert after[0]["identity"] == before[0]["identity"]
    assert after[1]["identity"] == made != before[1]["identity"]
    assert after[1]["classes"][0]["given"]["threshold"] == 0.3
    assert after[1]["changes"][0]["changed"] == "pits: threshold 0.5 → 0.3"
    assert newest(store, 1)[0] | {"at_ms": 0} == {
        "at_ms": 0, "who": "kim", "what": "plan changed", "subject": "soft",
        "detail": "pits: threshold 0.5 → 0.3 soft",
    }  # fmt: skip
    with sqlite3.connect(store.file) as connection:
        assert connection.execute("SELECT text_before FROM plan_changes").fetchone()[0].startswith("# Our steel.")
    connection.close()
    config.plans().bind(classes)
    assert sorted(path.name for path in tmp_path.glob("*.toml*")) == ["line.toml", "soft.toml", "steel.toml"]


@pytest.mark.parametrize(
    ("plan", "identity", "changes", "error", "match"),
    [
        ("none", None, {"pits": {"threshold": 0.3}}, UnknownError, "no such plan"),
        ("", None, {"rust": {"threshold": 0.3}}, UnknownError, "no such class"),
        ("", "steel@0", {"pits": {"threshold": 0.3}}, InputError, "changed meanwhile"),
        ("", None, {"pits": {"threshold": 0.5}}, InputError, "nothing is changed"),
        ("", None, {"pits": {"threshold": 2.0}}, InputError, r"steel\.toml.*threshold"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_the_file(
    config: LoadedConfig, classes: EngineClasses, store: Store, tmp_path: Path,
    plan: str, identity: str | None, changes: dict[str, Any], error: type[Exception], match: str,
) -> None:  # fmt: skip
    """Another plan, class, file or value than the line has or takes."""
    identity = identity or config.plans().default.identity
    with pytest.raises(error, match=match):
        change(config, classes, store, plan, identity, changes, "kim", "")
    assert (tmp_path / "steel.toml").read_text() == PLAN
    assert newest(store, 1) == []


def test_a_file_that_cannot_be_written_is_one_clear_line(
    config: LoadedConfig, classes: EngineClasses, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes first, and the audit has no entry."""
    import os

    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    assert not plans(config, classes, store, None)[0]["writable"]
    with pytest.raises(WorkError, match="may not write it"):
        change(
            config, classes, store, "", config.plans().default.identity, {"pits": {"threshold": 0.3}}, "kim", ""
        )
    assert newest(store, 1) == []


def test_engines_are_those_beside_the_lines_own(config: LoadedConfig, tmp_path: Path) -> None:
    """In use, a candidate, one that does not fit; a folder that is none is left out."""
    write_engine(tmp_path / "engines" / "next", classes=("normal", "pits", "deep cracks"), options={"delay_ms": 1})
    write_engine(tmp_path / "engines" / "other", classes=("normal", "rust"))
    (tmp_path / "engines" / "broken").mkdir()
    (tmp_path / "engines" / "broken" / "manifest.json").write_text("{")
    now = open_trusted(config.line.engine, ()).identity
    found = {Path(each["folder"]).name: each for each in engines(config.line.engine, now)}
    assert set(found) == {"now", "next", "other"}
    assert (found["now"]["in_use"], found["now"]["in_config"]) == (True, True)
    assert (found["next"]["in_use"], found["next"]["refused"]) == (False, None)
    assert "tells apart" in found["other"]["refused"]
