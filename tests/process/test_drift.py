"""Drift of a running line against its commissioning window."""

import json
import time
import urllib.request
from pathlib import Path

import pytest

from inspector.errors import WorkError
from inspector.monitoring.client import ask
from inspector.monitoring.state import LineState
from tests.support.lines import PATIENCE_S, LineUnderTest, interrupt
from tests.support.ports import free_port

SIZE = (32, 128)
DIMS_AT = 2100
WITHIN_FRAMES = 500


def wait_for_alarm(port: int) -> tuple[LineState, list[str]]:
    """The line's state and findings in the first answer with an alarm of drift."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        time.sleep(0.05)
        try:
            answer = ask(port)[1]
        except WorkError:
            continue  # the line is starting
        if answer.line is not None and any(each.alarming for each in answer.line.drift):
            return answer.line, answer.findings
    raise AssertionError(f"no alarm within {PATIENCE_S:g} s")


def test_a_lamp_dimmed_by_a_tenth_is_an_alarm_within_500_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, and of brightness alone; status, metrics and the kept ranges say so."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    line, port = LineUnderTest(tmp_path, SIZE), free_port()
    options = f"height = {SIZE[0]}, width = {SIZE[1]}, frames_per_second = 200, dims_at = {DIMS_AT}"
    line.config.write_text(
        f'name = "test"\nengine = "engine"\nrecipe = "recipe.toml"\ndeadline_ms = 20000\nlinks = "{tmp_path}/l"\n'
        f'[cameras.top]\ntype = "python"\nfactory = "tests.support.dimming:Dimming"\noptions = {{{options}}}\n'
        f"[health]\nport = {port}\ndrift_frames = 500\n"
    )
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    try:
        state, findings = wait_for_alarm(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            metrics = answer.read().decode()
    finally:
        interrupt(process)
        line.finish(process, tmp_path / "out")
    assert DIMS_AT < state.cameras["top"].captured <= DIMS_AT + WITHIN_FRAMES
    (brightness,) = (each for each in state.drift if each.alarming)
    assert brightness.figure == "brightness"
    assert brightness.change == pytest.approx(-0.1, abs=0.03)
    assert any("brightness is" in each and "check lamp" in each for each in findings)
    assert 'inspector_drift_alarm{camera="top",figure="brightness"} 1.0' in metrics
    assert "picture_block" not in metrics
    stored = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert set(stored["ranges"]["top"]) >= {"brightness", "contrast", "grain"}
