"""Stages that are killed and restarted at any moment: no frame passes by other pixels or another recipe."""

import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inspector.sinks.gate.gate import Action, Record
from inspector.sinks.log.journal import JOURNAL_NAME
from inspector.wire.captures import captured_by_ingests
from tests.support.plc import BASE, DEVICE, PLC
from tests.support.stages import Stages, decisions, once_each, until, wrong


def gate_table(plc: PLC) -> str:
    return f'[gate]\nhost = "127.0.0.1"\nport = {plc.port}\ndevice_id = {DEVICE}\nbase_register = {BASE}\n'


def codes(verdicts: list[dict[str, Any]]) -> set[str]:
    return {code for verdict in verdicts for code in verdict["codes"]}


def accepts_in_the_log(told: list[Record], verdicts: list[dict[str, Any]]) -> int:
    """Check that every accept that the PLC received is an accept in the log; returns how many it received."""
    logged = {round(verdict["position_mm"]) for verdict in verdicts if verdict["decision"] == "accept"}
    accepts = [record for record in told if record.action is Action.ACCEPT]
    assert [record for record in accepts if record.position_mm not in logged] == []
    return len(accepts)


def test_results_of_an_ended_ingest_decide_nothing_of_the_next(tmp_path: Path) -> None:
    """Old results wait while decide is down; the next ingest's frames have the same ids and are defective."""
    with Stages(tmp_path) as line:
        line.start("worker")
        line.start("ingest", look="clean", rate=100)
        until((line.links / "position-top").exists, "frames of the first ingest")
        line.end("ingest-top", signal.SIGKILL)
        line.start("decide")
        line.start("ingest", look="coded", rate=100)
        line.wait(60)
        line.stop()
        verdicts = line.verdicts()
        newest = max(verdict["ingest_epoch"] for verdict in verdicts)
        of_the_second = [verdict for verdict in verdicts if verdict["ingest_epoch"] == newest]
        assert decisions(verdicts)["accept"] == 0
        assert decisions(of_the_second)["reject"] > 30
        assert once_each(of_the_second)


@pytest.mark.parametrize("stage", ["decide", "worker", "ingest-top"])
def test_a_stage_with_another_recipe_accepts_nothing(tmp_path: Path, stage: str) -> None:
    """recipe.toml was edited, and one stage alone was started again."""
    with Stages(tmp_path, defect_grey=95) as line:
        line.recipe(threshold=0.3)  # grey 100 is a score of 0.39: every frame is a defect
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest")
        line.wait(20)
        assert set(decisions(line.verdicts())) == {"reject"}
        line.recipe(threshold=0.5)
        line.end(stage)
        before = line.count()
        line.start(stage.partition("-")[0])
        line.wait(60)
        line.stop()
        after = line.verdicts()[before:]
        assert decisions(after)["accept"] == 0
        assert "recipe_mismatch" in codes(after)


def test_deadlines_that_differ_between_stages_mix_no_pixels(tmp_path: Path) -> None:
    """The deadline was raised, but ingest still reuses slots by the old one."""
    with Stages(tmp_path, delay_ms=60) as line:
        line.write(head="deadline_ms = 50.0")
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", look="odd", rate=60)
        line.wait(20)
        line.write(head="deadline_ms = 2000.0")
        for name in ("worker", "decide"):
            line.end(name, signal.SIGKILL)
            line.start(name)
        line.wait(120)
        line.stop()
        assert wrong(line.verdicts(), "odd") == []


def test_a_killed_decide_gives_each_frame_one_verdict(tmp_path: Path) -> None:
    """After repeated kills, each accept that the PLC received is an accept in the log."""
    rng = random.Random(7)  # noqa: S311
    plc = PLC(tmp_path)
    plc.start()
    try:
        with Stages(tmp_path) as line:
            line.write(tables=gate_table(plc))
            for name in ("decide", "worker"):
                line.start(name)
            line.start("ingest", rate=200)
            line.wait(20)
            for _ in range(6):
                line.end("decide", signal.SIGKILL)
                line.start("decide", wait=False)
                line.wait(rng.randrange(5, 60))
            line.wait(20)
            line.stop()
            verdicts, captured = line.verdicts(), line.captured()
        told = plc.verdicts()
    finally:
        plc.stop()
    assert len(verdicts) == captured
    assert once_each(verdicts)
    assert accepts_in_the_log(told, verdicts) > 0
    assert (line.out / "gate.jsonl").exists()


def test_an_ingest_that_restarts_while_the_strip_stands(tmp_path: Path) -> None:
    """decide restarts before the new ingest's first frame, with a log of the old ingest; no frame is refused."""
    with Stages(tmp_path) as line:
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", rate=100)
        line.wait(50)
        line.standstill.touch()
        line.end("ingest-top")
        line.start("ingest", rate=100)
        line.end("decide", signal.SIGKILL)
        line.start("decide")
        before = line.count()
        line.standstill.unlink()
        line.wait(50)
        line.stop()
        after = [verdict for verdict in line.verdicts()[before:] if verdict["frame_id"] < 50]
        assert decisions(after)["accept"] >= 40
        assert once_each(line.verdicts())
        assert len(line.verdicts()) == line.captured()
        assert "message refused" not in (tmp_path / "decide.log").read_text()


def test_one_ingest_of_two_restarts_before_a_gate(tmp_path: Path) -> None:
    """The gate gets a new run, and a position still means the same steel for both cameras."""
    plc = PLC(tmp_path)
    plc.start()
    try:
        with Stages(tmp_path, cameras=("top", "bottom")) as line:
            line.write(tables=gate_table(plc))
            for name in ("decide", "worker"):
                line.start(name)
            for camera in line.cameras:
                line.start("ingest", camera=camera)
            line.wait(200)
            line.end("ingest-top", signal.SIGKILL)
            line.start("ingest", camera="top")
            line.wait(150)
            line.stop()
            verdicts = line.verdicts()
        blocks, told = plc.blocks(), plc.verdicts()
    finally:
        plc.stop()
    runs = list(dict.fromkeys(block.run for block in blocks if block.run))
    assert len(runs) == 2
    newest = {
        camera: [verdict for verdict in verdicts if verdict["camera"] == camera][-30:] for camera in line.cameras
    }
    frame_mm = 64 * 0.5
    for top, bottom in zip(newest["top"], newest["bottom"], strict=False):
        apart_s = (top["captured_ns"] - bottom["captured_ns"]) / 1e9
        assert abs(top["position_mm"] - bottom["position_mm"] - apart_s * 50 * frame_mm) < 6 * frame_mm
    last_of_old = max(index for index, block in enumerate(blocks) if block.run == runs[0])
    assert all(block.run == runs[1] for block in blocks[last_of_old + 1 :])
    assert told


def test_a_log_that_is_deleted_under_the_line_invents_no_frame(tmp_path: Path) -> None:
    """Its lines are restored, and a restarted decide continues after them."""
    with Stages(tmp_path) as line:
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", rate=100)
        line.wait(50)
        (line.out / "verdicts.jsonl").unlink()
        until(lambda: line.count() > 50, "the lines are back")
        line.end("decide", signal.SIGKILL)
        line.start("decide")
        line.wait(50)
        line.stop()
        assert len(line.verdicts()) == line.captured()
        assert once_each(line.verdicts())


def test_an_ingest_that_is_replaced_while_decide_is_away(tmp_path: Path) -> None:
    """Messages of both wait for decide and come mixed: each captured frame has one verdict, none is invented."""
    with Stages(tmp_path) as line:
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", rate=100)
        line.wait(50)
        line.send("decide", signal.SIGSTOP)
        line.end("ingest-top")
        line.start("ingest", rate=100)
        until(lambda: '"ingest started"' in (tmp_path / "ingest-top.log").read_text(), "the second ingest")
        line.send("decide", signal.SIGCONT)
        line.wait(100)
        line.stop()
        assert len(line.verdicts()) == line.captured()
        assert once_each(line.verdicts())


def test_dirty_steel_of_one_camera_leaves_the_other_its_time(tmp_path: Path) -> None:
    """Frames with thousands of spots are rejects with their largest defects; the clean camera is in time."""
    with Stages(tmp_path, cameras=("top", "bottom"), max_batch=4) as line:
        line.recipe(min_area_mm2=0.0)
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", camera="top", look="spots", rate=40)
        line.start("ingest", camera="bottom", look="clean", rate=40)
        line.wait(200)
        line.stop()
        verdicts = line.verdicts()
        dirty = [each for each in verdicts if each["camera"] == "top" and each["decision"] != "uninspected"]
        clean = [each for each in verdicts if each["camera"] == "bottom"]
        assert {each["decision"] for each in dirty} == {"reject"}
        assert max(len(each["defects"]) for each in dirty) <= 64
        assert Counter(each["decision"] for each in clean)["accept"] > 0.9 * len(clean)


def test_a_decide_that_is_killed_while_it_catches_up_leaves_no_frame_out(tmp_path: Path) -> None:
    """The verdicts of a long gap are given beside those of new frames: the next decide gives the rest."""
    with Stages(tmp_path) as line:
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", rate=400)
        line.wait(50)
        line.send("decide", signal.SIGSTOP)
        time.sleep(4.0)  # 1600 frames: what the link and its buffers do not hold waits in ingest
        for _ in range(3):
            line.end("decide", signal.SIGKILL)
            before = line.count()
            line.start("decide", wait=False)
            until(lambda before=before: line.count() > before, "a new verdict", 60)  # type: ignore[misc]
        line.wait(1500)
        line.stop()
        verdicts = line.verdicts()
        assert once_each(verdicts)
        assert len(verdicts) == line.captured()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_ingest_that_ends_while_decide_hangs_leaves_no_frame_out(tmp_path: Path, how: signal.Signals) -> None:
    """decide is then killed before it reads them; the frames get verdicts when the next ingest starts."""
    with Stages(tmp_path) as line:
        for name in ("decide", "worker"):
            line.start(name)
        line.start("ingest", rate=100)
        line.wait(30)
        line.send("decide", signal.SIGSTOP)
        counted = CountedFrames(line, "top")
        counted.wait(60)
        code = line.end("ingest-top", how)
        captured = counted.frames()
        if how is signal.SIGTERM:
            assert code == 1
            log = (tmp_path / "ingest-top.log").read_text()
            assert f"decide has not confirmed the {captured} captured frames" in log
        line.end("decide", signal.SIGKILL)
        line.start("decide")
        line.start("ingest", rate=100)
        line.wait(captured)
        line.stop()
        verdicts = line.verdicts()
        first = min(verdict["ingest_epoch"] for verdict in verdicts)
        of_the_first = [verdict for verdict in verdicts if verdict["ingest_epoch"] == first]
        assert len(of_the_first) == captured
        assert once_each(verdicts)
        assert "announcement_lost" in codes(of_the_first)
        positions = [verdict["position_mm"] for verdict in of_the_first]
        assert positions == sorted(positions)


class CountedFrames:
    """What an ingest has counted, read from outside."""

    def __init__(self, line: Stages, camera: str) -> None:
        self._line, self._camera = line, camera
        self._before = self.frames()

    def frames(self) -> int:
        return captured_by_ingests(self._line.links, self._camera)[-1].captured

    def wait(self, more: int) -> None:
        until(lambda: self.frames() >= self._before + more, f"{more} frames more")


def test_a_kill_under_a_full_memory_leaves_no_accept_without_a_log(tmp_path: Path) -> None:
    """The journal takes no line, so verdicts wait for the disk before the PLC hears them."""
    rng = random.Random(5)  # noqa: S311
    plc = PLC(tmp_path)
    plc.start()
    try:
        with Stages(tmp_path) as line:
            line.write(tables=gate_table(plc))
            line.links.mkdir(mode=0o700)
            (line.links / JOURNAL_NAME).symlink_to("/dev/full")
            line.start("worker")
            line.start("decide")
            line.start("ingest", rate=150)
            for _ in range(6):
                line.wait(rng.randrange(20, 60))
                time.sleep(rng.random() * 0.05)  # at any moment of the log's turn of 20 ms
                line.end("decide", signal.SIGKILL)
                line.start("decide", wait=False)
            line.wait(20)
            line.stop()
            verdicts, captured = line.verdicts(), line.captured()
        told = plc.verdicts()
    finally:
        plc.stop()
    assert "journal cannot be written" in (tmp_path / "decide.log").read_text()
    assert len(verdicts) == captured
    assert once_each(verdicts)
    assert accepts_in_the_log(told, verdicts) > 30
