"""Drift of a running line against its commissioning window."""

import json
from pathlib import Path

import pytest

from inspector.monitoring.client import ask
from tests.support.lines import LineUnderTest, interrupt
from tests.support.ports import free_port


def test_a_lamp_dimmed_by_a_tenth_is_an_alarm_within_500_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, and status, metrics and the kept window say so."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    line, port, dims_at, size = LineUnderTest(tmp_path, (32, 128)), free_port(), 2100, (32, 128)
    source = f"options = {{height = {size[0]}, width = {size[1]}, frames_per_second = 200, dims_at = {dims_at}}}"
    line.config.write_text(
        f'name = "test"\nengine = "engine"\nrecipe = "recipe.toml"\ndeadline_ms = 20000\nlinks = "{tmp_path}/l"\n'
        f'[cameras.top]\ntype = "python"\nfactory = "tests.support.dimming:Dimming"\n{source}\n'
        f"[health]\nport = {port}\ndrift_frames = 500\n"
    )
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    try:
        captured, state = 0, None
        while captured < dims_at + 2000:
            try:
                state = ask(port)[1]
            except Exception:  # noqa: BLE001  # the line is starting
                assert process.poll() is None, process.communicate()
                continue
            if state.line is None or not state.line.drift:
                continue
            captured = state.line.cameras["top"].captured
            brightness = next(each for each in state.line.drift if each.figure == "brightness")
            if brightness.alarming:
                break
    finally:
        interrupt(process)
        line.finish(process, tmp_path / "out")
    assert state is not None
    assert dims_at < captured <= dims_at + 500
    assert brightness.change == pytest.approx(-0.1, abs=0.03)
    assert any("brightness is" in each and "see to lamp" in each for each in state.findings)
    assert not any(each.alarming for each in state.line.drift if each.figure != "brightness")
    stored = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert set(stored["ranges"]["top"]) >= {"brightness", "contrast", "grain"}
