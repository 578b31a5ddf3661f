"""A line with a GigE Vision camera: packets are lost, the camera is killed and comes back, nothing shifts."""

import re
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from inspector.backends.instant import DEFECT_GREY, write_engine
from tests.support.aravis_camera import LEVELS, AravisCamera, aravis_camera
from tests.support.gige_camera import needs_aravis
from tests.support.lines import NO_HURRY_MS, LineUnderTest, Run, interrupt, stage, wait_for_verdicts
from tests.support.ports import free_port

HEIGHT, WIDTH = 16, 512
RATE, QUICK_RATE = 100, 50
LOST_PER_THOUSAND = 4
AWAY_S = 2.0

MOST_GROWTH_MB = 8.0
"""Of ingest, from a third of the run to its end: a leak of one frame in a hundred would be more in a minute."""

MOST_SHED_SHARE = 0.1
"""A PC with other work may not take every frame in time; those frames keep their places, too."""

LATE_FRAMES = 3
"""How far the place of the first frame after the camera was away may be off its time: by rounding, and by how well
the time of a camera's first frame is known."""


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    made = LineUnderTest(tmp_path, (HEIGHT, WIDTH))
    # Full maps: a defect's box then tells the number of its frame exactly.
    shutil.rmtree(tmp_path / "engine")
    write_engine(tmp_path / "engine", height=HEIGHT, width=WIDTH, max_batch=4, map_stride=1)
    (tmp_path / "recipe.toml").write_text(
        'name = "test"\nmm_per_px_across = 1\nmm_per_px_along = 0.5\n[classes.bright]\nmin_area_mm2 = 1\n'
        "[picture]\nchecks = false\n"
    )
    return made


def write_config(line: LineUnderTest, camera: AravisCamera, rate: int, port: int) -> None:
    line.write_config(
        f"deadline_ms = {NO_HURRY_MS}\n[health]\nport = {port}\n[sinks]\npictures = false\n"
        f"[cameras.top.features]\nWidth = {WIDTH}\n"
        f'Height = {HEIGHT}\nPixelFormat = "Mono8"\nExposureTimeAbs = 10_000.0\nGainRaw = 0\n'
        f"AcquisitionFrameRate = {rate}.0\nGevSCPSPacketSize = 576\n",
        type="genicam",
        device=camera.device,
        frames_per_second=rate,
    )


def number_shown(verdict: dict[str, Any]) -> int | None:
    """The frame's number modulo 255, from the place of the first bright stripe that begins in the top row."""
    for defect in sorted(verdict["defects"], key=lambda each: each["box"][0]):
        x, y, width, height = defect["box"]
        # Stripes run from the top right to the bottom left, 5 px wide.
        if (y, height) == (0, HEIGHT) and width == HEIGHT + LEVELS - DEFECT_GREY - 1:
            return int(DEFECT_GREY - (x + HEIGHT - 1)) % LEVELS
    return None


def run_with_faults(
    line: LineUnderTest, camera: AravisCamera, rate: int, seconds: float
) -> tuple[Run, list[float]]:
    """Run; kill the camera after a third, start it again; returns what was left and ingest's memory, MB."""
    port = free_port()
    write_config(line, camera, rate, port)
    out = line.folder / "out"
    process: subprocess.Popen[str] = line.start("run", "--config", line.config, "--out", out)
    try:
        wait_for_verdicts(out, rate // 2)
        ingest = stage(process, "ingest")
        started_s = time.monotonic()
        killed = back = False
        memory_mb = []
        while (passed_s := time.monotonic() - started_s) < seconds:
            time.sleep(0.2)
            if passed_s > seconds / 3 and not killed:
                camera.kill()
                killed = True
            if passed_s > seconds / 3 + AWAY_S and not back:
                camera.start()
                back = True
            memory_mb.append(psutil.Process(ingest.pid).memory_info().rss / 1e6)
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        found = dict(re.findall(r'inspector_camera_stream_total\{camera="top",what="(\w+)"\} ([\d.e+]+)', metrics))
        assert float(found["buffers_incomplete"]) > 0
        assert float(found["packets_missing"]) > 0
        assert float(found["reconnections"]) == 1
        interrupt(process)
        return line.finish(process, out), memory_mb
    finally:
        process.kill()


def check(run: Run, rate: int, seconds: float) -> Counter[str]:
    """The ledger balances, each frame is at its place, and the camera was away once."""
    # A PC with other work may not stop a stage in its 1.3 s; the verdicts are to be right all the same.
    assert run.code == 0 or run.logged("stage did not stop"), run.stderr
    codes = Counter(code for verdict in run.verdicts for code in verdict["codes"])
    assert set(codes) <= {"defect", "too_many_defects", "incomplete", "no_frame", "stopped", "shed"}, codes
    captured = len(run.verdicts)
    assert codes["shed"] <= MOST_SHED_SHARE * captured
    assert abs(captured - seconds * rate) < rate * 4
    # Every position is the place in the order of capture: nothing was left out or put in.
    positions = np.array([verdict["position_mm"] for verdict in run.verdicts])
    assert np.allclose(np.diff(positions), HEIGHT * 0.5)
    inspected = [verdict for verdict in run.verdicts if verdict["decision"] != "uninspected"]
    assert len(inspected) > captured / 3
    # The frame at each place is the one that was taken there: its own number says so …
    lives: list[tuple[int, dict[str, Any]]] = []
    before = after = None
    for verdict in inspected:
        number = number_shown(verdict)
        if number is None:
            continue
        shift = (verdict["frame_id"] - number) % LEVELS
        if lives and lives[-1][0] != shift:
            before, after = lives[-1][1], verdict
            lives.append((shift, verdict))
        lives = [*lives[:-1], (shift, verdict)] if lives else [(shift, verdict)]
    assert len(lives) == 2, "one before and one after the camera was away"
    # … and over the time that it was away, the rate.
    assert before is not None
    assert after is not None
    due = (after["captured_ns"] - before["captured_ns"]) * rate / 1e9
    assert abs(after["frame_id"] - before["frame_id"] - due) <= LATE_FRAMES
    return codes


def test_a_line_with_a_lossy_gige_camera_that_is_killed_and_returns(line: LineUnderTest) -> None:
    """Every frame has a verdict, and every inspected frame has its true position."""
    needs_aravis()
    with aravis_camera(LOST_PER_THOUSAND) as camera:
        run, _ = run_with_faults(line, camera, QUICK_RATE, seconds=10)
    codes = check(run, QUICK_RATE, seconds=10)
    assert codes["incomplete"] > 5
    assert codes["no_frame"] >= AWAY_S * QUICK_RATE * 0.9


@pytest.mark.slow
def test_a_minute_at_a_hundred_frames_a_second_leaves_ingest_as_large_as_it_was(line: LineUnderTest) -> None:
    """The same over a longer time; the memory does not grow."""
    needs_aravis()
    with aravis_camera(LOST_PER_THOUSAND) as camera:
        run, memory_mb = run_with_faults(line, camera, RATE, seconds=60)
    codes = check(run, RATE, seconds=60)
    third = len(memory_mb) // 3
    growth_mb = max(memory_mb[-third // 2 :]) - max(memory_mb[third : third + third // 2])
    print(
        f"captured {len(run.verdicts)}, {dict(codes)}, ingest {memory_mb[third]:.1f} MB, grew {growth_mb:.1f} MB"
    )
    assert growth_mb < MOST_GROWTH_MB
