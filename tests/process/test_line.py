"""The whole line in real processes over real sockets: every frame gets its verdict, whatever happens."""

import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import zmq

from inspector.wire.links import NEWS, RESULTS, VIEW, endpoint
from tests.support.lines import NO_HURRY_MS, LineUnderTest, interrupt, slowdown, stage, wait_for_verdicts

HEIGHT, WIDTH = 64, 128


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path)


def steel(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 140, (HEIGHT, WIDTH), dtype=np.uint8)


def with_defect(y: int, height: int, x: int = 40, width: int = 16) -> np.ndarray:
    image = steel()
    image[y : y + height, x : x + width] = 255
    return image


def write_images(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"frame_{index}.png"), image)
    return folder


def test_a_folder_becomes_verdicts_with_places_on_the_strip(line: LineUnderTest, tmp_path: Path) -> None:
    """Clean frames are accepted, defects rejected with kind, area, place and a readable reason."""
    images = write_images(tmp_path / "images", [steel(), with_defect(16, 20), steel(2)])
    run = line.replay(images)
    assert (run.code, run.decisions) == (0, ["accept", "reject", "accept"])
    rejected = run.verdicts[1]
    assert rejected["position_mm"] == 32.0
    (defect,) = rejected["defects"]
    assert defect["name"] == "bright"
    assert defect["area_mm2"] == pytest.approx(80, abs=20)
    assert (defect["across_mm"], defect["along_mm"]) == (pytest.approx(24, abs=1.5), pytest.approx(45, abs=1.5))
    assert rejected["reasons"][0].startswith("bright ")
    assert run.summary["defects"] == {"bright": 1}
    report = (run.out / "report.html").read_text()
    assert rejected["reasons"][0] in report
    assert list((run.out / "rejects").glob("top-00000001*.jpg"))


def test_a_defect_over_a_frame_border_has_one_id(line: LineUnderTest, tmp_path: Path) -> None:
    """Three frames, one scratch: one defect on the strip."""
    images = [with_defect(40, 24), with_defect(0, 64), with_defect(0, 10), steel()]
    run = line.replay(write_images(tmp_path / "images", images))
    assert run.decisions == ["reject"] * 3 + ["accept"]
    assert {verdict["defects"][0]["id"] for verdict in run.verdicts[:3]} == {"top-0-1"}
    assert run.summary["defects"] == {"bright": 1}


def test_two_replays_are_identical_and_a_changed_one_differs(line: LineUnderTest, tmp_path: Path) -> None:
    """--golden: 0 where every verdict is the same but for times, 3 where one differs, and it says which."""
    images = write_images(tmp_path / "images", [steel(), with_defect(16, 20), steel(2)])
    first = line.replay(images, out=tmp_path / "first")
    again = line.replay(images, "--golden", first.out, out=tmp_path / "again")
    assert again.code == 0, again.stdout
    recipe = line.folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("min_area_mm2 = 4", "min_area_mm2 = 4000"))
    changed = line.replay(images, "--golden", first.out, out=tmp_path / "changed")
    assert changed.code == 3
    assert "reject → accept" in changed.stdout
    assert "top frame 1" in changed.stdout


def test_unreadable_and_odd_frames_end_uninspected_with_their_reason(line: LineUnderTest, tmp_path: Path) -> None:
    """Every file with an image ending is a captured frame; nothing is lost and nothing stops."""
    images = write_images(tmp_path / "images", [steel(), steel(1)])
    (images / "a_empty.png").write_bytes(b"")
    (images / "b_text.jpg").write_text("not an image")
    whole = cv2.imencode(".jpg", steel())[1].tobytes()
    (images / "c_torn.jpg").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(images / "d_deep.png"), steel().astype(np.uint16) * 256)
    cv2.imwrite(str(images / "e_colour.png"), cv2.cvtColor(steel(), cv2.COLOR_GRAY2BGR))
    cv2.imwrite(str(images / "f_small.png"), steel()[:32])
    (images / "notes.txt").write_text("not a frame")
    run = line.replay(images)
    assert run.code == 0
    assert run.decisions == ["uninspected"] * 4 + ["accept", "uninspected", "accept", "accept"]
    reasons = [verdict["reasons"][0] for verdict in run.verdicts if verdict["reasons"]]
    assert reasons[0] == "a_empty.png: empty file"
    assert "not a JPEG, PNG, BMP, TIFF, WebP or PGM" in reasons[1]
    assert reasons[2].startswith("c_torn.jpg: ")
    assert "16-bit" in reasons[3]
    assert reasons[4] == "frame is 32×128, the engine takes 64×128"


def test_a_failed_batch_costs_its_frames_and_no_others(tmp_path: Path) -> None:
    """After an exception in the engine those frames are UNINSPECTED with the reason; the worker continues."""
    line = LineUnderTest(tmp_path, fail_on_grey=13)
    line.write_config("[batch]\nmax_frames = 1")
    images = [steel(index) for index in range(6)]
    images[3][0, 0] = 13
    run = line.replay(write_images(tmp_path / "images", images))
    assert run.decisions == ["accept"] * 3 + ["uninspected"] + ["accept"] * 2
    assert run.verdicts[3]["reasons"] == ["engine failed: a frame begins with grey level 13"]


def test_a_camera_that_outruns_the_engine_is_shed_and_accounted_for(tmp_path: Path) -> None:
    """The oldest frames are shed, and verdicts still come in order."""
    line = LineUnderTest(tmp_path, delay_ms=50)
    line.write_config(
        "[batch]\nmax_frames = 1", type="simulator", height=HEIGHT, width=WIDTH, distinct=8, frames=150,
        frames_per_second=100,
    )  # fmt: skip
    run = line.run()
    assert run.code == 0
    assert run.summary["captured"] == 150
    reasons = run.summary["uninspected_reasons"]
    assert reasons.pop("shed: the worker is behind") > 30
    assert set(reasons) <= {"shed: too old to be inspected before its deadline", "no result within 500 ms"}
    assert run.summary["accepted"] + run.summary["rejected"] > 20


def test_a_result_after_its_deadline_is_late_and_changes_nothing(tmp_path: Path) -> None:
    """The frame is UNINSPECTED at its deadline; its late result is only counted."""
    line = LineUnderTest(tmp_path, delay_ms=300)
    line.write_config(
        "deadline_ms = 100", type="simulator", height=HEIGHT, width=WIDTH, distinct=4, frames=6,
        frames_per_second=4,
    )  # fmt: skip
    run = line.run()
    assert run.decisions == ["uninspected"] * 6
    assert run.verdicts[0]["reasons"] == ["no result within 100 ms"]
    assert run.summary["late"] >= 1


def endless(line: LineUnderTest, **more: Any) -> None:
    line.write_config(type="simulator", height=HEIGHT, width=WIDTH, distinct=8, **more)


@pytest.mark.parametrize("name", ["ingest", "worker", "decide"])
def test_a_killed_stage_ends_the_line_with_a_balanced_ledger(tmp_path: Path, name: str) -> None:
    """SIGKILL of any stage mid-run: exit 1, a clear last line, every announced frame has its one verdict."""
    line = LineUnderTest(tmp_path, delay_ms=5)
    endless(line)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 100)
    stage(process, name).kill()
    run = line.finish(process, out)
    assert run.code == 1
    assert f"{name}" in run.stderr
    assert "killed by SIGKILL" in run.stderr.splitlines()[-1]
    assert run.summary["captured"] >= 100
    if name == "worker":
        assert run.summary["uninspected"] > 0
    assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize("wait_for", ["start", pytest.param("frames", marks=pytest.mark.slow), "many frames"])
def test_ctrl_c_ends_the_line_within_two_seconds_with_whole_files(tmp_path: Path, wait_for: str) -> None:
    """At any time: while it starts, when it has just begun, in the middle."""
    line = LineUnderTest(tmp_path, delay_ms=5)
    endless(line)
    out = tmp_path / "out"
    before = slowdown()
    process = line.start("run", "--config", line.config, "--out", out)
    if wait_for == "start":
        stage(process, "worker")
    else:
        wait_for_verdicts(out, 1 if wait_for == "frames" else 200)
    children = psutil.Process(process.pid).children()
    asked = time.monotonic()
    interrupt(process)
    run = line.finish(process, out)
    took_s = time.monotonic() - asked
    assert took_s < 2.0 * max(before, slowdown())
    assert run.code in (0, 1)
    assert not psutil.wait_procs(children, timeout=1)[1], "a stage was left behind"
    if wait_for != "start":
        assert run.summary["captured"] >= 1


def test_no_stage_outlives_a_killed_parent(tmp_path: Path) -> None:
    """After SIGKILL of `inspector run` the kernel stops its children."""
    line = LineUnderTest(tmp_path)
    endless(line)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 1)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(children, timeout=5)[1]


def test_foreign_and_malformed_messages_are_refused_and_counted(tmp_path: Path) -> None:
    """Noise on the links never kills a stage, and never unbalances the ledger."""
    line = LineUnderTest(tmp_path, delay_ms=5)
    endless(line)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 20)
    links = Path(json.loads((out / "line.json").read_text())["links"])
    with zmq.Context() as context:
        for link in (NEWS, RESULTS):
            with context.socket(zmq.PUSH) as noise:
                noise.linger = 10_000  # closing waits until all is sent
                noise.connect(endpoint(link, links))
                for parts in ([b"\x63old"], [b""], [b"\x01\xff\xff", b"x"], [os.urandom(50)] * 3):
                    noise.send_multipart(parts)
    wait_for_verdicts(out, (out / "verdicts.jsonl").read_bytes().count(b"\n") + 200)
    interrupt(process)
    run = line.finish(process, out)
    assert run.code == 0
    assert run.summary["refused_messages"] == 8
    assert any("wire version 99" in entry["error"] for entry in run.logged("message refused"))


def test_a_viewer_sees_frames_and_costs_nothing_when_absent(tmp_path: Path) -> None:
    """With the view on, clean frames reach a subscriber with pixels and mask at the configured rate."""
    line = LineUnderTest(tmp_path, delay_ms=5)
    endless(line)
    line.config.write_text(line.config.read_text() + "\n[view]\nframes_per_second = 20\n")
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 5)
    links = Path(json.loads((out / "line.json").read_text())["links"])
    seen: list[Any] = []
    with zmq.Context() as context, context.socket(zmq.SUB) as viewer:
        viewer.subscribe(b"top")
        viewer.rcvtimeo = 5000
        viewer.connect(endpoint(VIEW, links))
        until_s = time.monotonic() + 30.0
        while len(seen) < 3:
            assert time.monotonic() < until_s
            parts = viewer.recv_multipart()
            if len(parts) > 2:
                seen.append(parts)
    for topic, verdict, shape, pixels, mask, peaks, score_shape, score in seen:
        assert topic == b"top"
        assert json.loads(verdict)["camera"] == "top"
        assert json.loads(shape) == [HEIGHT, WIDTH]
        assert len(pixels) == len(mask) == HEIGHT * WIDTH
        assert all(0 <= peak <= 255 for peak in json.loads(peaks))
        assert len(score) == math.prod(json.loads(score_shape))
    interrupt(process)
    line.finish(process, out)


def test_a_stage_of_its_own_drains_on_sigterm(tmp_path: Path) -> None:
    """The three commands, started separately, exit with 0 after SIGTERM in any order, with nothing pending."""
    line = LineUnderTest(tmp_path)
    endless(line, frames_per_second=100)
    links = tmp_path / "links"
    head = f'deadline_ms = {NO_HURRY_MS}\nlinks = "{links}"\n[sinks]\nout = "out"\n'
    text = line.config.read_text().replace("[cameras", f"{head}[cameras", 1)
    line.config.write_text(text)
    stages = {
        name: line.start(name, "--config", line.config)
        for name in ("decide", "worker", "ingest")
    }  # fmt: skip
    out = tmp_path / "out"
    wait_for_verdicts(out, 40, decision="accept")
    for name in ("ingest", "worker", "decide"):
        stages[name].send_signal(signal.SIGTERM)
        run = line.finish(stages[name], out)
        assert run.code == 0, run.stderr
    assert set(run.summary["uninspected_reasons"]) <= {"shed: the worker is behind"}, (
        "shed until the worker was ready"
    )
