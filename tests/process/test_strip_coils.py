"""Coils of a real line: by command, and with a Level 2 of either format that is killed at each moment."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_strip_position import mill_line
from tests.support.level2 import Level2
from tests.support.lines import PATIENCE_S, LineUnderTest, interrupt, wait_for_verdicts

ROOT = Path(__file__).resolve().parents[2]


def wait(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)


def coil(line: LineUnderTest, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`inspector coil …`."""
    command = [sys.executable, "-m", "inspector", "coil", *arguments, "--config", str(line.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def result_files(line: LineUnderTest) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((line.folder / "strip" / "coils").glob("*.json"))]


def test_coils_by_command_with_plans_and_verdicts(tmp_path: Any) -> None:
    """Two coils with two plans while the line runs: no frame is uninspected, each verdict names its plan."""
    strict = (
        'name = "strict"\nmm_per_px_across = 4\nmm_per_px_along = 4\n[classes.bright]\nmin_area_mm2 = 4\n'
        '[picture]\nchecks = false\n[coil]\n[[coil.rules]]\nclass = "*"\nverdict = "hold"\nmax_per_coil = 0\n'
    )
    (tmp_path / "strict.toml").write_text(strict)
    line = mill_line(
        tmp_path,
        'result_wait_s = 1\n[plans.strict]\nrecipe = "strict.toml"\ngrades = ["DC0*"]\n'
        "[records]\nenabled = true\n",
        frames=100_000,
    )
    line.config.write_text(line.config.read_text().replace("deadline_ms = 20000", "deadline_ms = 1000"))
    out = line.folder / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    try:
        wait_for_verdicts(out, 20)
        started = coil(line, "start", "C-1", "--grade", "S355")
        assert started.returncode == 0, started.stderr
        assert "no plan for grade S355: the default is used" in started.stdout
        time.sleep(1)
        second = coil(line, "start", "C-2", "--grade", "DC04", "--json")
        assert json.loads(second.stdout)["plan"] == "strict"
        again = coil(line, "start", "C-2")
        assert again.returncode == 1
        assert "on the line already" in again.stderr
        time.sleep(1)
        assert coil(line, "end").returncode == 0
        assert coil(line, "end").returncode == 1
        wait(lambda: len(result_files(line)) == 2, "two results")
        told = coil(line, "status").stdout
        assert "C-2 DC04:" in told
    finally:
        interrupt(process)
        run = line.finish(process, out)
    assert run.code == 0, run.stderr
    assert {each["decision"] for each in run.verdicts} <= {"accept", "reject"}
    first, last = result_files(line)
    assert (first["id"], first["plan"], first["end_why"]) == ("C-1", "", "no end was said before coil C-2 started")
    assert last["plan"] == "strict"
    assert last["start_mm"] == first["end_mm"]
    plans = {(each["coil"], each["recipe"].split("@")[0]) for each in run.verdicts}
    assert plans == {("S1-0001", "test"), ("C-1", "test"), ("C-2", "strict")}  # the first is the simulator's name
    of_first = [each for each in run.verdicts if first["start_mm"] <= each["position_mm"] < first["end_mm"]]
    assert first["frames"] == len(of_first)
    assert first["uninspected_mm"] < 600  # what had no frame yet when the coil started
    with sqlite3.connect(out / "records.sqlite") as records:
        rows = records.execute("SELECT coil, grade, verdict, length_mm FROM coils ORDER BY number").fetchall()
    assert [row[:3] for row in rows] == [("C-1", "S355", first["verdict"]), ("C-2", "DC04", last["verdict"])]


class StripAlone:
    """The strip process without a line: its position is where it was; it can be killed and started."""

    def __init__(self, line: LineUnderTest) -> None:
        self.line = line
        self.process: subprocess.Popen[bytes] | None = None
        self.log = line.folder / "strip.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "inspector", "strip", "--config", str(self.line.config)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=20) == 0


@pytest.fixture(params=["text", "packed"])
def plant(tmp_path: Any, request: Any) -> Any:
    """A strip process and a Level 2, both stopped at the end."""
    level2 = Level2(tmp_path / "level2", request.param)
    line = mill_line(tmp_path, "result_wait_s = 0.2\n" + level2.toml, f'links = "{tmp_path}/links"')
    line.config.write_text(line.config.read_text().replace("deadline_ms = 20000", "deadline_ms = 100"))
    (tmp_path / "links").mkdir(mode=0o700)
    strip = StripAlone(line)
    yield level2, strip, line
    level2.stop()
    strip.stop()


def test_nothing_is_lost_or_doubled_when_either_side_is_killed(plant: Any) -> None:
    """Four coils; Level 2 and the strip process are killed before, between and after telegrams and results."""
    level2, strip, line = plant
    strip.start()
    level2.start(die_after_sending=2)
    names = [f"C-{number}" for number in range(1, 5)]
    level2.order("coil_start", names[0])
    level2.order("coil_end", names[0])
    wait(level2.died, "Level 2 kills itself after the second telegram, before its acknowledgement")
    level2.start(die_before_ack=1)
    wait(level2.died, "Level 2 kills itself with the first result, before it acknowledges it")
    strip.kill()
    level2.start()
    level2.order("coil_start", names[1])
    strip.start()
    wait(lambda: len(level2.acknowledged()) == 3, "the third telegram is acknowledged after the start")
    count = level2.order("coil_end", names[1])
    strip.kill()
    strip.start()
    wait(lambda: len(level2.acknowledged()) == count, "a telegram that met no one is acknowledged")
    for number, name in enumerate(names[2:]):
        level2.order("coil_start", name)
        count = level2.order("coil_end", name)
        time.sleep(0.15 * number)
        strip.kill()
        if number % 2:
            level2.stop()
        strip.start()
        if number % 2:
            level2.start()
        wait(lambda: len(level2.acknowledged()) == count, f"coil {name} is acknowledged")  # noqa: B023
    wait(lambda: len(level2.results()) == len(names), "every result arrives")
    assert [each["id"] for each in level2.results()] == names
    assert [each["number"] for each in level2.results()] == [1, 2, 3, 4]
    assert [each["id"] for each in result_files(line)] == names
    events = [json.loads(each) for each in (line.folder / "strip" / "coils.jsonl").read_text().splitlines()]
    starts = [each["coil"]["id"] for each in events if each["event"] == "start"]
    ends = [each["id"] for each in events if each["event"] == "end"]
    assert starts == ends == names
    assert all(answer == 0 for _, answer in level2.acknowledged())


@pytest.mark.parametrize("plant", ["text"], indirect=True)
def test_results_wait_on_the_disk_while_level2_is_away(plant: Any) -> None:
    """Three coils by command, a restart, and then the partner comes."""
    level2, strip, line = plant
    strip.start()
    wait(lambda: coil(line, "status").returncode == 0, "the strip process runs")
    for name in ("A", "B", "C"):
        assert coil(line, "start", name).returncode == 0
    assert coil(line, "end").returncode == 0
    wait(lambda: len(result_files(line)) == 3, "three results")
    assert json.loads(coil(line, "status", "--json").stdout)["results_not_sent"] == 3
    strip.stop()
    strip.start()
    level2.start()
    wait(lambda: len(level2.results()) == 3, "the results arrive")
    wait(lambda: json.loads(coil(line, "status", "--json").stdout)["results_not_sent"] == 0, "all acknowledged")
    assert [each["id"] for each in level2.received()] == ["A", "B", "C"]


def test_garbage_from_the_partner_is_one_line_and_the_line_goes_on(plant: Any) -> None:
    """Bytes of another layout, the end of an unknown coil, and a repeated id are refused; the link works on."""
    level2, strip, line = plant
    strip.start()
    level2.start()
    level2.order("coil_end", "X")
    level2.order("coil_start", "A")
    count = level2.order("coil_start", "A", grade="other")
    wait(lambda: len(level2.acknowledged()) == count, "all are answered")
    assert [answer for _, answer in level2.acknowledged()] == [1, 0, 0]
    level2.stop()
    if level2.form == "packed":
        wait(lambda: "is not connected" in strip.log.read_text(), "the break is noticed")
        with socket.create_connection(("127.0.0.1", level2.port)) as foreign:
            foreign.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wait(lambda: "not described" in strip.log.read_text() or foreign.recv(1) == b"", "it is refused")
    level2.start()
    count = level2.order("coil_end", "A")
    wait(lambda: len(level2.acknowledged()) == count, "the link works again")
    wait(lambda: len(level2.results()) == 1, "one coil, one result")
    events = (line.folder / "strip" / "coils.jsonl").read_text()
    assert events.count('"event":"start"') == 1
