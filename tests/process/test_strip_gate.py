"""A simulated mill, all stages, and a PLC that tracks the steel to a gate 20 m behind the cameras."""

import json
import signal
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.clocks import both_clocks
from inspector.config.line import load_config
from inspector.sources.simulator.mill import Mill
from inspector.sources.simulator.mill_source import MillCamera, running_mill
from tests.support.plc import BASE, DEVICE, PLC
from tests.support.stages import HEIGHT, WIDTH, Stages, until
from tests.support.tracking_plc import BIN_MM, TrackingPlc, track

MM_PER_PX = 4.0
FRAME_MM = HEIGHT * MM_PER_PX
BEHIND_MM = 20_000.0
DEADLINE_MS = 500
SILENCE_NS = (DEADLINE_MS + 500) * 1_000_000
"""Rule 4 of docs/gate.md."""

PROFILE = [[0, 0], [1, 0], [4, 20], [6, 20], [8, 0], [9, 0], [9.5, -3], [11, -3], [11.5, 0], [12, 8], [16, 8]]
END_S = 16.0
MOMENTS = (2.5, 4.5, 8.2, 9.8)
"""When a stage is killed, seconds of the profile: accelerating, at full speed, at standstill, in reverse."""

STAGES = ("strip", "worker", "decide", "ingest")

DISTINCT = 40
"""Frames of the strip that are drawn; then they come again."""

BRIGHT = 235
"""Grey level from which a pixel is a defect."""

STRIDE = 4
"""Map stride of the tests' engine."""


class MillLine:
    """The stages of one camera of a simulated mill, before a gate."""

    def __init__(self, folder: Path, plc: PLC) -> None:
        self.stages = Stages(folder, max_batch=4, defect_grey=BRIGHT)
        (folder / "recipe.toml").write_text(
            f'name = "test"\nmm_per_px_across = {MM_PER_PX}\nmm_per_px_along = {MM_PER_PX}\n'
            "[classes.bright]\nmin_area_mm2 = 1\n[picture]\nchecks = false\n"
        )
        tables = (
            f'[gate]\nhost = "127.0.0.1"\nport = {plc.port}\ndevice_id = {DEVICE}\nbase_register = {BASE}\n'
            f"[mill]\nprofile = {json.dumps(PROFILE)}\nrepeat = false\n"
            f'[strip]\nfolder = "{folder}/strip"\nposition = {{ type = "mill" }}\n'
        )
        source = (
            f'type = "simulator"\nseed = 5\nheight = {HEIGHT}\nwidth = {WIDTH}\ndefective_share = 0.2\n'
            f"distinct = {DISTINCT}\n"
        )
        self.stages.write(f"deadline_ms = {DEADLINE_MS}", tables, sources={"top": source})
        self.config = load_config(self.stages.config)

    def mill(self) -> Mill:
        line = self.config.line
        assert line.mill is not None
        found = running_mill(line.mill, line.links)
        assert found is not None
        return found

    def begin(self, name: str) -> None:
        self.stages.start(name, real=True)

    def run(self, kills: list[tuple[float, str]], away_s: float) -> tuple[list[dict[str, Any]], Mill]:
        """The whole profile; each (second, stage) of `kills` is killed, and started again after `away_s`."""
        for name in STAGES:
            self.begin(name)
        links = self.config.line.links
        until((links / "mill-epoch").exists, "the mill begins")
        mill = self.mill()

        def passed_s() -> float:
            return (time.monotonic_ns() - mill.began_ns) / 1e9

        for at_s, name in kills:
            time.sleep(max(0.0, at_s - passed_s()))
            self.stages.end("ingest-top" if name == "ingest" else name, signal.SIGKILL)
            time.sleep(away_s)
            self.begin(name)
        time.sleep(max(0.0, END_S - passed_s()))
        self.stages.stop()
        return self.stages.verdicts(), mill

    def bad_frames(self) -> set[int]:
        """Frames of the strip, modulo DISTINCT, that the engine must reject."""
        line = self.config.line
        camera = MillCamera(line, "top", line.cameras["top"], MM_PER_PX)  # type: ignore[arg-type]
        with camera:
            frames = [camera._pixels(number) for number in range(DISTINCT)]
        # The engine looks at every STRIDE-th pixel.
        return {n for n, pixels in enumerate(frames) if np.any(pixels[::STRIDE, ::STRIDE] >= BRIGHT)}


def errors_mm(verdicts: list[dict[str, Any]], mill: Mill) -> list[float]:
    now_ns, wall_ns = both_clocks()
    ahead_ns = wall_ns - now_ns
    return [each["position_mm"] - mill.position_mm(each["captured_ns"] - ahead_ns) for each in verdicts]


def steps(verdicts: list[dict[str, Any]], mill: Mill) -> list[int]:
    """How far the strip truly went on from each frame to the next one of the same ingest, in frames.

    A decide that was killed may have forgotten when a frame was captured: such verdicts have no `strip`.
    """
    now_ns, wall_ns = both_clocks()
    before: dict[int, tuple[int, int]] = {}
    found = []
    for each in verdicts:
        if "strip" not in each:
            continue
        number = round(mill.position_mm(each["captured_ns"] - wall_ns + now_ns) / FRAME_MM)
        frame_id, epoch = each["frame_id"], each["ingest_epoch"]
        if epoch in before and before[epoch][0] == frame_id - 1:
            found.append(number - before[epoch][1])
        before[epoch] = (frame_id, number)
    return found


def bad_steel(pieces: Iterable[int], bad: set[int], error_mm: float) -> list[int]:
    """Those of the pieces around which all steel within the positions' error is to be rejected."""
    return [
        piece
        for piece in pieces
        if all(int(((piece + 0.5) * BIN_MM + d) // FRAME_MM) % DISTINCT in bad for d in (-error_mm, 0, error_mm))
    ]


def run_and_check(
    folder: Path, kills: list[tuple[float, str]], away_s: float = 0.0
) -> tuple[TrackingPlc, list[dict[str, Any]], set[int]]:
    plc = PLC(folder).start()
    line = MillLine(folder, plc)
    try:
        with line.stages:
            bad = line.bad_frames()
            verdicts, mill = line.run(kills, away_s)
    finally:
        plc.stop()
    assert 0 < len(bad) < DISTINCT / 2
    end_ns = mill.began_ns + int(END_S * 1e9)
    gate = track(plc.log, mill.position_mm, end_ns, BEHIND_MM, SILENCE_NS)
    assert gate.passed, "no steel passed at all"
    assert set(steps(verdicts, mill)) <= {-1, 0, 1}, "a frame was invented or lost"
    known = [each for each in verdicts if each.get("strip", {"motion": "unknown"})["motion"] != "unknown"]
    wrong_mm = errors_mm(known, mill)
    assert max(map(abs, wrong_mm)) < FRAME_MM
    # Of a frame whose position is unknown the gate gets no accept, however far off it is.
    error_mm = max(map(abs, wrong_mm)) + BIN_MM
    assert bad_steel(gate.passed, bad, error_mm) == [], "steel to be rejected has passed"
    assert bad_steel(gate.thrown, bad, error_mm), "no steel was surely to be rejected: the test says nothing"
    return gate, verdicts, bad


def test_an_undisturbed_mill(tmp_path: Path) -> None:
    """0→20 m/s→0→reverse: no frame off by a frame, none invented, the length is the encoder's, no false reject."""
    gate, verdicts, bad = run_and_check(tmp_path, [])
    assert {each["strip"]["motion"] for each in verdicts} >= {"threading", "running", "reverse"}
    places = [each["position_mm"] for each in verdicts]
    assert len(places) == len({each["frame_id"] for each in verdicts})
    forward = sum(max(0.0, later - before) for before, later in pairwise(places))
    assert forward == pytest.approx(20_000 * (1.5 + 2 + 1) + 8_000 * 0.25, abs=2 * FRAME_MM + 8_000 * 4)
    if gate.doubts or any(each["decision"] == "uninspected" for each in verdicts):
        return  # a PC with other work: what came late is thrown, as it must be
    good = {
        piece
        for piece in gate.thrown
        if int((piece + 0.5) * BIN_MM // FRAME_MM) % DISTINCT not in bad and piece > 2 * FRAME_MM / BIN_MM
    }
    # A piece on the border of two frames belongs to neither.
    assert len(good) <= 2 * len(verdicts), "good steel was thrown"


def test_stages_that_are_killed_let_no_bad_steel_pass(tmp_path: Path) -> None:
    """Each stage once: while the strip accelerates, at 20 m/s, at standstill, in reverse."""
    run_and_check(tmp_path, list(zip(MOMENTS, STAGES, strict=True)))


def test_no_accept_without_a_position(tmp_path: Path) -> None:
    """The strip process is away for 3 s while the strip runs back and forward: counted positions are 3 m off."""
    _, verdicts, _ = run_and_check(tmp_path, [(9.8, "strip")], away_s=3.0)
    counted = [each for each in verdicts if each.get("strip", {}).get("motion") == "unknown"]
    assert any(each["decision"] == "accept" for each in counted)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_each_stage_at_each_moment(tmp_path: Path, turn: int) -> None:
    """With the test above, each stage is killed once at each moment; four kills a run."""
    run_and_check(tmp_path, [(moment, STAGES[(n + turn) % 4]) for n, moment in enumerate(MOMENTS)])
