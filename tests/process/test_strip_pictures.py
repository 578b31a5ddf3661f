"""A real line whose camera sees the strip's edges through a lens that darkens its sides: edges, gain and zones."""

import itertools
import json
import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.config.camera_calibration import FORMAT, Calibration, store_calibration
from inspector.runtime.orders import give_order
from inspector.strip.orders import orders_path
from tests.process.test_strip_coils import result_files
from tests.support.lines import LineUnderTest, interrupt, wait_for_verdicts
from tests.support.ports import free_port

HEIGHT, WIDTH = 64, 400
LEFT, RIGHT = 60, 340
MM_PER_PX = 0.5
OFFSET_MM = 100.0
FALL = np.where(np.arange(WIDTH) > 200, 0.5, 1.0)
"""Half of the light is missing on the right."""

NEAR, MIDDLE, BESIDE = 68, 300, 20
"""First columns of the bright squares, at cells of the map: at the edge, in the middle, on the background."""

SIDE = 8


def picture() -> np.ndarray:
    drawn = np.full((HEIGHT, WIDTH), 4.0)
    drawn[:, LEFT:RIGHT] = 100.0
    drawn += np.random.default_rng(1).normal(0, 1.5, drawn.shape)
    for column in (NEAR, MIDDLE, BESIDE):
        drawn[24 : 24 + SIDE, column : column + SIDE] = 230.0
    return np.clip(drawn * FALL, 0, 255).astype(np.uint8)


def test_edges_gain_and_zones_of_a_running_line(tmp_path: Path) -> None:
    """A speck beside the strip is no defect; a dim one is found by the gain; the coil's edge zone starts at the
    strip's edge, and the coil has the strip's measured width."""
    line = LineUnderTest(tmp_path, (HEIGHT, WIDTH), defect_grey=150)
    (tmp_path / "recipe.toml").write_text(
        f'name = "test"\nmm_per_px_across = {MM_PER_PX}\nmm_per_px_along = {MM_PER_PX}\n'
        "[classes.bright]\nmin_area_mm2 = 4\n[picture]\nchecks = false\n[coil]\nedge_mm = 10\n"
        '[[coil.rules]]\nclass = "bright"\nzone = "edge"\nverdict = "hold"\nmax_per_coil = 0\n'
    )
    gain = tuple(np.round(1 / FALL, 3).tolist())
    store_calibration(tmp_path / "top.json", Calibration(FORMAT, "top", HEIGHT, WIDTH, gain))
    port = free_port()
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(5):
        cv2.imwrite(str(frames / f"{index}.png"), picture())
    line.write_config(
        f'links = "{tmp_path}/links"\ndeadline_ms = 2000\n[strip]\nresult_wait_s = 0.2\n'
        f'[strip.position]\ntype = "udp"\naddress = "127.0.0.1:{port}"\n[strip.cameras.top]\n'
        f'edges = "dark"\ncalibration = "top.json"\noffset_across_mm = {OFFSET_MM}\n',
        type="folder", path=str(frames), follow=True,
    )  # fmt: skip
    (tmp_path / "links").mkdir(mode=0o700)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 5)
    orders = orders_path(tmp_path / "strip")
    give_order(orders, {"coil": "start", "data": {"id": "C-1"}, "position_mm": -1.0}, print)
    give_order(orders, {"coil": "end", "position_mm": 5 * HEIGHT * MM_PER_PX}, print)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as encoder:
        for way_mm in itertools.count(0, 50):  # the strip runs on, past the coil's tail
            encoder.sendto(f"{way_mm}\n".encode(), ("127.0.0.1", port))
            if result_files(line):
                break
            assert way_mm < 60_000, "the coil has no result"
            time.sleep(0.1)
    interrupt(process)
    run = line.finish(process, out)
    assert len(run.verdicts) == 5, run.stderr
    for verdict in run.verdicts:
        place = verdict["strip"]
        assert place["left_mm"] == pytest.approx(OFFSET_MM + LEFT * MM_PER_PX, abs=0.5)
        assert place["right_mm"] == pytest.approx(OFFSET_MM + RIGHT * MM_PER_PX, abs=0.5)
        near, middle = sorted(verdict["defects"], key=lambda each: each["across_mm"])
        assert near["edge_mm"] == pytest.approx((NEAR - LEFT) * MM_PER_PX, abs=0.6)
        assert middle["edge_mm"] == pytest.approx((RIGHT - MIDDLE - SIDE) * MM_PER_PX, abs=0.6)
    (result,) = result_files(line)
    assert result["verdict"] == "hold"
    assert result["reasons"][0].startswith("hold: 5 bright in the edge: over 0")
    assert result["measured_width_mm"] == pytest.approx((RIGHT - LEFT) * MM_PER_PX, abs=1.0)
    assert json.dumps(result).count('"edge_mm"') == 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('calibration = "none.json"', "no such calibration of camera top"),
        ('calibration = "line.toml"', "not a calibration of a camera"),
        ('edges = "grey"', "strip.cameras.top.edges"),
    ],
)
def test_a_calibration_that_cannot_be_used_stops_the_start(tmp_path: Path, text: str, why: str) -> None:
    """One line with the file, before the first frame."""
    line = LineUnderTest(tmp_path)
    line.write_config(f"[strip.cameras.top]\n{text}\n".join(["[strip]\n", ""]))
    process = line.start("check", "--config", line.config)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    told = [line for line in (stdout + stderr).splitlines() if why in line]
    assert len(told) == 1
