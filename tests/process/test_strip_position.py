"""Positions of a real line beside a real mill: a PLC with an encoder, or a sender of text lines."""

from pathlib import Path
from typing import Any

import pytest

from inspector.clocks import both_clocks
from tests.support.lines import LineUnderTest, Run, stage, wait_for_verdicts
from tests.support.mill import COUNTER, SPEED, Mill

PROFILE = ((0, 0), (0.5, 0), (2.5, 20), (3, 20), (5, 0), (5.5, 0), (6, -3), (7, -3), (7.5, 0))

FRAME_MM = 256.0

FRAMES = 360
"""Nine seconds at 40 frames/s."""


def mill_line(folder: Path, position: str, head: str = "", frames: int = FRAMES) -> LineUnderTest:
    """A line of one camera with frames of 256 mm, in front of a mill."""
    line = LineUnderTest(folder)
    (folder / "recipe.toml").write_text(
        'name = "test"\nmm_per_px_across = 4\nmm_per_px_along = 4\n[classes.bright]\nmin_area_mm2 = 4\n'
        "[picture]\nchecks = false\n"
    )
    line.write_config(
        f"deadline_ms = 20000\n{head}\n[strip]\nthreading_mm_s = 2000\n{position}",
        type="simulator", height=64, width=128, frames=frames, frames_per_second=40, distinct=8,
    )  # fmt: skip
    return line


def errors_mm(run: Run, mill: Mill) -> list[float]:
    """Return the error of each frame's position against the strip's true position at capture."""
    now_ns, wall_ns = both_clocks()
    ahead_ns = wall_ns - now_ns
    return [each["position_mm"] - mill.position_mm(each["captured_ns"] - ahead_ns) for each in run.verdicts]


def plc_position(mill: Mill, bits: int = 32) -> str:
    kind = {16: "uint16", 32: "uint32"}[bits]
    register = COUNTER + (1 if bits == 16 else 0)
    return (
        f'[strip.position]\ntype = "modbus"\nhost = "127.0.0.1"\nport = {mill.port}\n'
        f"counter_register = {register}\n"
        f'counter_type = "{kind}"\nspeed_register = {SPEED}\n'
    )


@pytest.mark.parametrize("over", ["plc", "udp"])
def test_frames_are_placed_by_the_encoder(tmp_path: Any, over: Any) -> None:
    """0→20 m/s→0→reverse: no frame is off by a frame, and the states are those of the profile."""
    mill = Mill(tmp_path, PROFILE, over=over, bits=16 if over == "plc" else 32)
    position = (
        plc_position(mill, 16)
        if over == "plc"
        else f'[strip.position]\ntype = "udp"\naddress = "127.0.0.1:{mill.port}"\n'
    )
    line = mill_line(tmp_path, position)
    try:
        mill.start()
        out = line.folder / "out"
        process = line.start("run", "--config", line.config, "--out", out)
        wait_for_verdicts(out, 10)
        mill.begin()
        run = line.finish(process, out)
    finally:
        mill.stop()
    assert run.code == 0, run.stderr
    wrong_mm = errors_mm(run, mill)
    assert max(map(abs, wrong_mm)) < FRAME_MM
    motions = {each["strip"]["motion"] for each in run.verdicts}
    assert motions == {"standing", "threading", "running", "reverse"}
    backwards = [each["strip"] for each in run.verdicts if each["strip"]["motion"] == "reverse"]
    assert all(each["overlap_mm"] > 0 for each in backwards)
    length_mm = run.verdicts[-1]["position_mm"] - run.verdicts[0]["position_mm"]
    now_ns, wall_ns = both_clocks()
    ahead_ns = wall_ns - now_ns
    first, last = (mill.position_mm(run.verdicts[at]["captured_ns"] - ahead_ns) for at in (0, -1))
    assert length_mm == pytest.approx(last - first, abs=FRAME_MM)


def test_the_line_goes_on_without_the_mill_and_without_the_strip_process(tmp_path: Any) -> None:
    """The PLC hangs, then the strip process is killed: every frame has its verdict, and says `unknown`."""
    mill = Mill(tmp_path, ((0.0, 5.0),))
    line = mill_line(tmp_path, plc_position(mill), frames=300)
    try:
        mill.start()
        out = line.folder / "out"
        process = line.start("run", "--config", line.config, "--out", out)
        wait_for_verdicts(out, 5)
        mill.begin()
        wait_for_verdicts(out, 40)
        mill.hang()
        wait_for_verdicts(out, 120)
        mill.go_on()
        wait_for_verdicts(out, 200)
        stage(process, "strip").kill()
        run = line.finish(process, out)
    finally:
        mill.stop()
    assert run.code == 0, run.stderr
    assert len(run.verdicts) == 300
    motions = [each["strip"]["motion"] for each in run.verdicts]
    assert motions[39] == "running"
    assert "unknown" in motions[60:130]
    assert "running" in motions[150:]
    assert motions[-1] == "unknown"
    assert len(run.logged("position source does not answer")) == 1
    assert len(run.logged("the line goes on without a process")) == 1
