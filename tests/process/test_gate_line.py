"""A whole line before a PLC, in real processes: what the gate hears is what was decided, or nothing."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inspector.sinks.gate.gate import Action, Block, Fault, Record
from tests.support.lines import LineUnderTest, Run, interrupt, stage, wait_for_verdicts
from tests.support.plc import BASE, DEVICE, PLC, heard

HEIGHT, WIDTH = 64, 128
TIMEOUT_MS = 300
LATE_MS = 500
STANDS_S = 2.0
"""Time after which a heartbeat counts as standing: a working line moves it several times per second."""


@pytest.fixture
def plc(tmp_path: Path) -> Iterator[PLC]:
    plc = PLC(tmp_path)
    yield plc
    plc.stop()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """A test that fails must not leave a line running."""
    yield
    for child in psutil.Process().children(recursive=True):
        child.kill()


def gated(
    folder: Path,
    plc: PLC,
    *,
    text: str = "",
    rate: float = 40,
    engine: dict[str, float] | None = None,
    timeout_ms: float = TIMEOUT_MS,
    late_ms: float = LATE_MS,
) -> LineUnderTest:
    """A line with a camera that does not wait, its gate at the PLC."""
    line = LineUnderTest(folder, **(engine or {}))  # type: ignore[arg-type]
    gate = f'[gate]\nhost = "127.0.0.1"\nport = {plc.port}\ndevice_id = {DEVICE}\nbase_register = {BASE}\n'
    line.write_config(
        f"{text}\n{gate}timeout_ms = {timeout_ms}\nlate_ms = {late_ms}\n",
        type="simulator", height=HEIGHT, width=WIDTH, distinct=8, defective_share=0.5, frames_per_second=rate,
    )  # fmt: skip
    return line


def until(condition: Callable[[], bool], what: str, within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def newest(plc: PLC) -> Block:
    return plc.blocks()[-1]


def matches(record: Record, verdict: dict[str, Any]) -> bool:
    return (
        (record.action is Action.ACCEPT) == (verdict["decision"] == "accept")
        and record.uninspected == (verdict["decision"] == "uninspected")
        and record.position_mm == round(verdict["position_mm"])
    )


def assert_told(run: Run, records: list[Record]) -> None:
    """Check that each record is the verdict of its number, and that no verdict is missing."""
    assert records
    for record in records:
        assert matches(record, run.verdicts[record.sequence - 1]), record


def test_the_gate_hears_every_verdict_in_order_and_the_end(tmp_path: Path, plc: PLC) -> None:
    """The gate receives accepts, rejects and uninspected frames in order, then the stop."""
    line = gated(tmp_path, plc.start(), engine={"delay_ms": 40}, text="[batch]\nmax_frames = 1\n", rate=60)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 150, timeout=60)
    interrupt(process)
    run = line.finish(process, out)
    records = plc.verdicts()
    assert len(records) >= len(run.verdicts) - 20, "only what came before the connection may be missing"
    assert_told(run, records)
    assert {record.action for record in records} == {Action.ACCEPT, Action.REJECT}
    assert any(record.uninspected for record in records), "the engine is too slow for this camera"
    assert newest(plc).fault & Fault.STOPPED
    told = run.summary["gate"]
    assert told["taken"] + told["missed"] == len(run.verdicts)
    assert told["taken"] >= len(records)


def test_a_slow_plc_misses_nothing_and_late_verdicts_are_marked(tmp_path: Path, plc: PLC) -> None:
    """Verdicts that arrive faster than the PLC accepts writes are sent together, in order."""
    late_ms = 80
    line = gated(tmp_path, plc.start(delay_s=0.1), rate=60, timeout_ms=1000, late_ms=late_ms)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    until(lambda: len(plc.verdicts()) >= 120, "no verdicts at the gate")
    interrupt(process)
    run = line.finish(process, out)
    records = plc.verdicts()
    assert_told(run, records)
    first = records[0].sequence
    assert [record.sequence for record in records] == list(range(first, first + len(records)))
    assert len(plc.blocks()) < len(records), "they travelled together"
    assert any(record.late for record in records)
    for record in records:
        took_ms = run.verdicts[record.sequence - 1]["stage_ms"].get("total", 0)
        assert record.late or took_ms <= late_ms


def test_a_plc_that_hangs_delays_nothing_and_comes_back_to_a_gap(tmp_path: Path, plc: PLC) -> None:
    """Verdicts continue while it hangs; afterwards a gap and a fault show what it missed."""
    line = gated(tmp_path, plc.start())
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    until(lambda: len(plc.verdicts()) >= 20, "no verdicts at the gate")
    plc.hang()
    given = (out / "verdicts.jsonl").read_bytes().count(b"\n")
    wait_for_verdicts(out, given + 80, timeout=60)
    before = plc.verdicts()[-1].sequence
    plc.go_on()
    until(lambda: plc.verdicts()[-1].sequence > before + 60, "the gate did not come back")
    interrupt(process)
    run = line.finish(process, out)
    assert_told(run, plc.verdicts())
    back = next(block for block in plc.blocks() if block.records and block.records[0].sequence > before + 60)
    assert Fault.MISSED in back.fault
    assert len(plc.verdicts()) < plc.verdicts()[-1].sequence, "there is a gap"
    assert max(verdict["stage_ms"].get("decide", 0) for verdict in run.verdicts) < TIMEOUT_MS + 500


def test_a_plc_that_restarts_is_found_again(tmp_path: Path, plc: PLC) -> None:
    """After its restart the registers are empty, and the next block is complete."""
    line = gated(tmp_path, plc.start())
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    until(lambda: len(plc.verdicts()) >= 10, "no verdicts at the gate")
    plc.stop()
    before = plc.verdicts()[-1].sequence
    plc.start()
    until(lambda: plc.verdicts()[-1].sequence > before, "the gate did not come back")
    interrupt(process)
    assert_told(line.finish(process, out), plc.verdicts())


@pytest.mark.parametrize("name", ["ingest", "decide"])
def test_the_heartbeat_stops_when_a_stage_hangs(tmp_path: Path, plc: PLC, name: str) -> None:
    """The PLC sees the heartbeat stand still while a stage hangs, and move again afterwards."""
    line = gated(tmp_path, plc.start())
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    until(lambda: len(plc.verdicts()) >= 10, "no verdicts at the gate")
    frozen = stage(process, name)
    frozen.suspend()
    if name == "ingest":
        until(lambda: Fault.CAMERA_SILENT in newest(plc).fault, "its silence is not told")
    else:
        time.sleep(0.5)  # what it had sent arrives
    stood = newest(plc)
    time.sleep(STANDS_S)
    assert newest(plc).heartbeat == stood.heartbeat
    frozen.resume()
    until(lambda: newest(plc).heartbeat != stood.heartbeat, "the heartbeat does not come back")
    until(lambda: newest(plc).fault == Fault(0), "the fault does not go away")
    interrupt(process)
    line.finish(process, tmp_path / "out")


def test_a_worker_that_dies_leaves_only_rejects(tmp_path: Path, plc: PLC) -> None:
    """Frames without a result never reach the gate as accepts; verdicts and heartbeat continue."""
    line = gated(tmp_path, plc.start())
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    until(lambda: len(plc.verdicts()) >= 10, "no verdicts at the gate")
    worker = stage(process, "worker")
    worker.suspend()
    before = plc.verdicts()[-1].sequence
    until(lambda: plc.verdicts()[-1].sequence > before + 60, "verdicts stopped")
    after = [record for record in plc.verdicts() if record.sequence > before + 30]
    assert {record.action for record in after} == {Action.REJECT}
    assert all(record.uninspected for record in after)
    beats = newest(plc).heartbeat
    until(lambda: newest(plc).heartbeat > beats, "the heartbeat stopped though verdicts flow")
    worker.resume()
    interrupt(process)
    assert_told(line.finish(process, out), plc.verdicts())


def test_a_camera_with_nothing_to_see_keeps_the_heartbeat(tmp_path: Path, plc: PLC) -> None:
    """While the strip stands, the source is idle, and the heartbeat keeps moving."""
    line = gated(tmp_path, plc.start(), rate=0.2)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    until(lambda: len(plc.verdicts()) >= 1, "no verdict at the gate")
    until(lambda: newest(plc).fault == Fault(0), "the fault does not go away")
    first = newest(plc)
    until(lambda: newest(plc).heartbeat >= first.heartbeat + 4, "the heartbeat does not move")
    since = [block for block in plc.blocks() if block.heartbeat > first.heartbeat]
    assert len({block.records[0].sequence for block in since}) < len(since), "it moved between verdicts"
    assert not any(block.fault for block in since)
    interrupt(process)
    line.finish(process, tmp_path / "out")


def test_a_replay_has_no_gate(tmp_path: Path, plc: PLC) -> None:
    """A replay does not write to the gate."""
    line = gated(tmp_path, plc.start())
    record = line.start("record", "--config", line.config, "--frames", "5", "--out", tmp_path / "recording")
    record.communicate(timeout=60)
    run = line.replay(tmp_path / "recording")
    assert (run.code, run.summary["captured"]) == (0, 5)
    assert plc.blocks() == []


def test_a_decide_that_dies_is_followed_by_one_with_a_run_of_its_own(tmp_path: Path, plc: PLC) -> None:
    """The next decide settles the remaining frames: it begins a new run and sends what the log shows."""
    line = gated(tmp_path, plc.start())
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    until(lambda: len(plc.verdicts()) >= 20, "no verdicts at the gate")
    stage(process, "decide").kill()
    run = line.finish(process, out)
    assert run.code == 1
    blocks = plc.blocks()
    first = blocks[0].run
    after = [block for block in blocks if block.run != first]
    assert Fault.STOPPED in after[-1].fault
    written = {round(verdict["position_mm"]): verdict for verdict in run.verdicts}
    for record in heard(after):
        assert matches(record, written[record.position_mm])


def test_a_killed_line_falls_silent(tmp_path: Path, plc: PLC) -> None:
    """After SIGKILL of everything no block arrives, and no block was a false all-clear."""
    line = gated(tmp_path, plc.start())
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    until(lambda: len(plc.verdicts()) >= 10, "no verdicts at the gate")
    for child in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
        os.kill(child.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    last = plc.blocks()
    time.sleep(1)
    assert plc.blocks() == last
