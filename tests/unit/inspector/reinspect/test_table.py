"""What `inspector reinspect` prints."""

from pathlib import Path

import pytest

from inspector.commands.reinspect import _show
from inspector.config.line import load_config
from inspector.reinspect.changes import of_verdicts
from inspector.reinspect.run import Reinspected
from tests.support.lines import LineUnderTest
from tests.support.written import verdict


def shown(folder: Path, result: Reinspected, capsys: pytest.CaptureFixture[str]) -> str:
    _show(result.as_dict(), load_config(LineUnderTest(folder).config))
    return capsys.readouterr().out


def test_a_failure_is_not_that_nothing_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every unit failed: nothing was compared."""
    result = Reinspected(tmp_path / "new.sqlite", 1, 9, failed={"archive/C-1/top": "the engine is gone"})
    out = shown(tmp_path, result, capsys)
    assert "nothing is compared" in out
    assert "nothing changes" not in out
    assert "failed   archive/C-1/top: the engine is gone" in out


def test_what_limits_the_comparison_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged frames, and units whose plan is not known."""
    result = Reinspected(tmp_path / "new.sqlite", 1, 9, inspected=1)
    result.damaged["archive/C-1/top"] = "2 of its 9 frames cannot be read"
    result.by_default["archive/C-1/top"] = "the records do not name the plan of its coil"
    frames = of_verdicts(verdict(n) for n in range(7))
    result.changes.add(frames, frames, {})
    out = shown(tmp_path, result, capsys)
    assert "nothing changes" in out
    assert "damaged  archive/C-1/top: 2 of its 9 frames cannot be read" in out
    assert "recipe   archive/C-1/top: judged by the line's recipe: the records do not name" in out
