"""The strip of a running line in `inspector status` and /metrics; coils of a simulated mill; a roll change."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from inspector.core.strip.roll_alarms import RollAlarm
from tests.process.test_health import ask, metrics, run_status, until, value
from tests.process.test_strip_coils import coil, result_files
from tests.process.test_strip_position import mill_line
from tests.support.lines import LineUnderTest, interrupt, stage
from tests.support.pages import PASSWORD, answers
from tests.support.ports import free_port

pytest.importorskip("prometheus_client")

ALARM = RollAlarm(
    "roll mark, work roll top, stand 3, 2 073 mm, since 0 m, 9 of 11 turns (pits, 80 mm across)",
    "work roll top", "3", "top", "pits", 80.0, 0.0, 20_000.0, 1,
)  # fmt: skip


def event(line: LineUnderTest, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "inspector", "event", *arguments, "--config", str(line.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@contextmanager
def operator(line: LineUnderTest, port: int) -> Iterator[httpx.Client]:
    """Start the line's page, and log in to it."""
    command, config = [sys.executable, "-m", "inspector"], ["--config", str(line.config)]
    add = [*command, "user", "add", "kim", "--role", "operator", *config]
    subprocess.run(add, input=f"{PASSWORD}\n", check=True, capture_output=True, text=True, timeout=120)
    process = subprocess.Popen([*command, "serve", *config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/api/session"), "no page")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert client.post("/api/session", json={"name": "kim", "password": PASSWORD}).status_code == 200
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_the_strip_in_status_and_metrics(tmp_path: Any) -> None:
    """Coils pass by name, an old alarm stands until the page notes a roll change; silence is a finding."""
    pytest.importorskip("argon2")
    port, page_port = free_port(), free_port()
    line = mill_line(
        tmp_path,
        'result_wait_s = 1\n[strip.position]\ntype = "mill"\n'
        '[[strip.rolls]]\nname = "work roll top"\nstand = "3"\ndiameter_mm = 660\n'
        '[mill]\nprofile = [[0, 4]]\ncoil_m = 8\ngrades = ["DC04"]\nmarked_roll = "work roll top"\n'
        f"[health]\nport = {port}\n[page]\naddress = '127.0.0.1:{page_port}'\n",
        frames=100_000,
    )
    line.config.write_text(line.config.read_text().replace("deadline_ms = 20000", "deadline_ms = 1000"))
    (tmp_path / "strip").mkdir()
    (tmp_path / "strip" / "coils.jsonl").write_bytes(msgspec.json.encode(ALARM) + b"\n")
    out = line.folder / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    try:
        until(lambda: ask_state(port) is not None, "no strip in /status")
        until(
            lambda: value(port, "inspector_strip_speed_metres_per_second") == pytest.approx(4, abs=0.2), "no speed"
        )
        until(lambda: len(result_files(line)) >= 1, "no coil is judged")
        state = ask_state(port)
        assert state is not None
        assert (state["motion"], state["source"], state["source_answers"]) == ("running", "simulated mill", True)
        assert state["coil"].startswith("C-482")
        assert 0 <= state["coil_mm"] < 8_600
        assert state["roll_marks"] == [ALARM.text]
        served = metrics(port)
        assert served["inspector_strip_up", frozenset()] == served["inspector_strip_roll_marks", frozenset()] == 1
        assert served["inspector_strip_source_age_seconds", frozenset()] < 2
        table = run_status(line)[1]
        assert "m/s, running; simulated mill: answers" in table
        assert f"rolls    {ALARM.text}" in table
        wrong = event(line, "roll change", "--text", "stand 9")
        assert wrong.returncode == 1
        assert "it has: work roll top of stand 3" in wrong.stderr
        with operator(line, page_port) as client:
            change = {"kind": "roll change", "text": "stand 9"}
            assert "it has: work roll top" in client.post("/api/events", json=change).json()["problem"]
            assert client.post("/api/events", json=change | {"text": "stand 3"}).json()["cleared"] == [ALARM.text]
        done = event(line, "roll change", "--text", "stand 3")
        assert (done.returncode, "rolls changed: work roll top" in done.stdout) == (0, True), done.stderr
        until(lambda: value(port, "inspector_strip_roll_marks") == 0, "the alarm stands")
        assert "rolls " not in coil(line, "status").stdout
        stage(process, "strip").send_signal(signal.SIGSTOP)
        until(lambda: "strip: its process has been silent" in ask(port, "/healthz")[1], "nothing is found")
        assert value(port, "inspector_strip_up") == 0
        stage(process, "strip").send_signal(signal.SIGCONT)
        until(lambda: value(port, "inspector_strip_up") == 1, "it is not back")
    finally:
        interrupt(process)
        run = line.finish(process, out)
    assert run.code == 0, run.stderr
    first = result_files(line)[0]
    assert (first["id"], first["grade"], first["end_why"]) == ("C-48213", "DC04", "")
    assert first["length_mm"] == pytest.approx(8_000, abs=300)
    events = [json.loads(each) for each in (Path(line.folder) / "strip" / "coils.jsonl").read_text().splitlines()]
    assert [each["event"] for each in events].count("rolls_changed") == 2


def ask_state(port: int) -> dict[str, Any] | None:
    try:
        told = json.loads(ask(port, "/status")[1])
    except OSError:
        return None
    return told["line"] and told["line"]["strip"]
