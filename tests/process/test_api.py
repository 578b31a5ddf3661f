"""`inspector.api`: every example of docs/api.md runs, and wrong use is one line."""

import json
import re
from pathlib import Path

import pytest

from inspector.api import InputError, WorkError, read_verdicts, view_address, watch
from inspector.backends.instant import write_engine
from inspector.config.line import load_config
from inspector.config.sources import PythonSettings
from inspector.errors import ConfigError, SourceError
from inspector.sources import open_source
from tests.support.lines import LineUnderTest, interrupt, wait_for_verdicts

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
FRAMES = 100
"""Frames of the page's own source."""


def blocks(language: str) -> list[str]:
    """The code blocks of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def own_source(settings: str, folder: Path, name: str = "own") -> PythonSettings:
    (folder / f"{name}.py").write_text(settings)
    return PythonSettings(type="python", factory=f"{name}:Own")


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page: the line of the source example makes the run that the first example reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    (source,) = [block for block in blocks("python") if block.startswith("# noise_camera.py")]
    (tmp_path / "noise_camera.py").write_text(source)
    line = LineUnderTest(tmp_path / "line", size=(256, 1600))
    head, _, _ = line.config.read_text().partition("[cameras")
    line.config.write_text(head + blocks("toml")[0])
    run = line.run(out=tmp_path / "out" / "demo" / "run")
    assert run.code == 0, run.stderr
    assert run.summary["captured"] == FRAMES
    (tmp_path / "configs" / "demo").mkdir(parents=True)
    (tmp_path / "configs" / "demo" / "engine").symlink_to(line.folder / "engine")
    live = LineUnderTest(tmp_path / "live")
    live.write_config(
        "[view]\nframes_per_second = 50\n",
        type="simulator", height=64, width=128, distinct=4, frames_per_second=100,
    )  # fmt: skip
    process = live.start("run", "--config", live.config, "--out", tmp_path / "out" / "live")
    try:
        wait_for_verdicts(tmp_path / "out" / "live", 5)
        for block in blocks("python"):
            exec(compile(block, "docs/api.md", "exec"), {"__name__": "example"})  # noqa: S102 (the page is ours)
        shown = capsys.readouterr().out
        assert "largest defect probability" in shown
        assert len(re.findall(r"^top \d+ (?:accept|reject)", shown, re.MULTILINE)) >= 20
        assert "picture (64, 128)" in shown
    finally:
        interrupt(process)
        live.finish(process, tmp_path / "out" / "live")
    assert len(list(read_verdicts(tmp_path / "out" / "demo" / "run"))) == FRAMES


def test_a_folder_without_verdicts_and_a_damaged_log_are_one_line(tmp_path: Path) -> None:
    """The error names the place. A last line without an end is still being written and is skipped."""
    with pytest.raises(InputError, match="no such folder"):
        list(read_verdicts(tmp_path / "none"))
    log = tmp_path / "verdicts.jsonl"
    log.write_text('{"camera": 3}\n')
    with pytest.raises(InputError, match="verdict 1 of its logs"):
        list(read_verdicts(tmp_path))
    log.write_text('{"camera": ')
    assert list(read_verdicts(tmp_path)) == []


def test_a_silent_line_is_one_line(tmp_path: Path) -> None:
    """`watch` ends with advice; a file that does not belong to a run is named."""
    with pytest.raises(WorkError, match=r"no verdict for 0\.1 s: is the line running"):
        next(watch(f"ipc://{tmp_path}/view", silence_s=0.1))
    (tmp_path / "line.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(InputError, match=r"line\.json: is not the line\.json of a run"):
        view_address(tmp_path / "line.json")
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        view_address(tmp_path / "none.json")
    with pytest.raises(InputError, match="not a key made by `inspector keys`"):
        next(watch("tcp://127.0.0.1:1", secret=tmp_path / "line.json", line_key=tmp_path / "line.json"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("class Other: pass", "AttributeError: module 'own_1' has no attribute 'Own'"),
        ("class Own:\n    def __init__(self, port): pass", "missing 1 required positional argument: 'port'"),
        (
            "class Own:\n    def total(self): return None",
            "lacks __enter__, __exit__, captures, notes, sizes, when_be",
        ),
        (
            "class Own:\n    when_behind = 'x'; __enter__ = __exit__ = captures = notes = sizes = total = dict",
            "when_behind is 'x': allowed: wait, shed_oldest",
        ),
    ],
)
def test_a_source_that_cannot_be_opened_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str, request: pytest.FixtureRequest
) -> None:
    """A missing module, another name, other arguments, or a member left out."""
    name = f"own_{request.node.callspec.indices['code']}"
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError) as refused:
        open_source(own_source(code, tmp_path, name))
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"factory {name}:Own: ")


def test_options_of_a_source_hold_no_password(tmp_path: Path) -> None:
    """Options are kept beside the results, so they may not hold one."""
    write_engine(tmp_path / "engine", height=64, width=128)
    (tmp_path / "line.toml").write_text(
        'name = "x"\nengine = "engine"\nrecipe = "r"\n[cameras.top]\ntype = "python"\nfactory = "a:B"\n'
        'options = { password = "geheim" }\n'
    )
    with pytest.raises(ConfigError, match="password looks like a password") as refused:
        load_config(tmp_path / "line.toml")
    assert "geheim" not in str(refused.value)
