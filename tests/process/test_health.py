"""Health, metrics and `inspector status` of a line in real processes, and of one that is broken."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.lines import LineUnderTest, interrupt, stage, wait_for_verdicts
from tests.support.plc import BASE, DEVICE, PLC
from tests.support.ports import free_port

HEIGHT, WIDTH = 64, 128
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """A test that fails must not leave a line running."""
    yield
    for child in psutil.Process().children(recursive=True):
        child.kill()


@pytest.fixture
def port() -> int:
    return free_port()


def watched(folder: Path, port: int, text: str = "", **source: Any) -> LineUnderTest:
    """A line with a live camera and a health server."""
    line = LineUnderTest(folder, delay_ms=2)
    source = {"frames_per_second": 50, "distinct": 8} | source
    line.write_config(f"{text}\n[health]\nport = {port}\n", type="simulator", height=HEIGHT, width=WIDTH, **source)
    return line


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(condition: Callable[[], bool], what: str, within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def says(port: int, words: str) -> Callable[[], bool]:
    """Whether /healthz answers 503 with a line that contains these words."""

    def said() -> bool:
        code, text = ask(port, "/healthz")
        return code == 503 and words in text

    return said


def metrics(port: int) -> dict[tuple[str, frozenset[Any]], float]:
    families = text_string_to_metric_families(ask(port, "/metrics")[1])
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(port: int, name: str, **labels: str) -> float:
    return metrics(port)[name, frozenset(labels.items())]


def run_status(line: LineUnderTest, *arguments: str) -> tuple[int, str, str]:
    process = line.start("status", "--config", line.config, *arguments)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def healthy_status(line: LineUnderTest, *arguments: str) -> str:
    """Return the output of `inspector status` once it exits with 0, because a busy machine sheds frames."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        code, stdout, _ = run_status(line, *arguments)
        if code == 0:
            return stdout
    raise AssertionError(stdout)


def test_a_line_that_works_is_healthy_and_counts_what_it_records(tmp_path: Path, port: int) -> None:
    """200, a readable table, and metrics that add up: captured = accepted + rejected + uninspected + pending."""
    line = watched(tmp_path, port, defective_share=0.5)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 60)
    until(lambda: ask(port, "/healthz") == (200, "ok\n"), "not healthy")
    text = healthy_status(line)
    assert text.startswith("healthy\n")
    assert "\npicture  top: " in text
    assert "top" in text
    assert "worker   answers" in text
    status = json.loads(healthy_status(line, "--json"))
    assert (status["healthy"], status["findings"]) == (True, [])
    assert status["line"]["cameras"]["top"]["captured"] >= 60
    served = metrics(port)
    verdicts = sum(number for (name, _), number in served.items() if name == "inspector_frames_total")
    top = frozenset({("camera", "top")})
    assert served["inspector_captured_total", top] == verdicts + served["inspector_pending_frames", top]
    total = frozenset({("stage", "total")})
    assert served["inspector_stage_seconds_count", total] == verdicts
    endless = frozenset({("stage", "total"), ("le", "+Inf")})
    assert served["inspector_stage_seconds_bucket", endless] == verdicts
    assert served["inspector_worker_starts_total", frozenset()] == 1
    inspected = served["inspector_stage_seconds_count", frozenset({("stage", "engine")})]
    assert served["inspector_batch_frames_sum", frozenset()] >= inspected > 0
    interrupt(process)
    line.finish(process, out)


def test_only_this_pc_can_ask(tmp_path: Path, port: int) -> None:
    """decide listens only on loopback; other paths are 404; nothing can be written."""
    line = watched(tmp_path, port)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 5)
    until(lambda: ask(port, "/healthz") == (200, "ok\n"), "not healthy")
    listening = [
        connection.laddr
        for connection in stage(process, "decide").net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == [("127.0.0.1", port)]
    assert ask(port, "/etc/passwd")[0] == 404
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET /met")
        assert ask(port, "/healthz")[1], "one that asks half a question holds up no other"
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/status", data=b"x", timeout=20)
    interrupt(process)
    line.finish(process, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "words"),
    [("ingest", "camera top: its ingest has sent nothing for"), ("worker", "worker: no result for")],
)
def test_a_stage_that_hangs_is_named_and_its_return_is_seen(
    tmp_path: Path, port: int, name: str, words: str
) -> None:
    """503 with one readable line, `inspector status` ends with 1; healthy again afterwards."""
    line = watched(tmp_path, port)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 20)
    until(lambda: ask(port, "/healthz")[0] == 200, "not healthy")
    frozen = stage(process, name)
    frozen.suspend()
    until(says(port, words), f"a {name} that hangs is not found")
    code, text, _ = run_status(line)
    assert code == 1
    assert text.startswith("NOT HEALTHY\n")
    assert words in text
    assert value(port, "inspector_healthy") == 0
    assert value(port, "inspector_ledger_difference_frames", camera="top") == 0
    frozen.resume()
    until(lambda: ask(port, "/healthz")[0] == 200, "not healthy again")
    interrupt(process)
    line.finish(process, tmp_path / "out")


def test_a_decide_that_hangs_does_not_pass_for_healthy(tmp_path: Path, port: int) -> None:
    """`inspector status` says that it does not answer, and ends with 1."""
    line = watched(tmp_path, port)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 5)
    frozen = stage(process, "decide")
    frozen.suspend()
    code, _, said = run_status(line)
    assert code == 1
    assert f"decide does not answer on 127.0.0.1:{port}" in said
    frozen.resume()
    interrupt(process)
    line.finish(process, tmp_path / "out")


def test_stages_that_start_again_are_counted(tmp_path: Path, port: int) -> None:
    """Restarts are counted: ingest by its Begin, the worker by its results."""
    links = tmp_path / "links"
    line = watched(tmp_path, port, text=f'links = "{links}"\n[sinks]\nout = "out"\n')
    stages = {name: line.start(name, "--config", line.config) for name in ("decide", "worker", "ingest")}
    wait_for_verdicts(tmp_path / "out", 20, timeout=60)
    for name in ("ingest", "worker"):
        stages[name].kill()
        stages[name].communicate()
        stages[name] = line.start(name, "--config", line.config)
    until(lambda: value(port, "inspector_ingest_starts_total", camera="top") == 2, "ingest's start is not seen")
    until(lambda: value(port, "inspector_worker_starts_total") == 2, "the worker's start is not seen")
    until(lambda: ask(port, "/healthz")[0] == 200, "not healthy again")
    assert value(port, "inspector_ledger_difference_frames", camera="top") == 0
    for name in ("ingest", "worker", "decide"):
        stages[name].send_signal(signal.SIGTERM)
        stages[name].communicate(timeout=60)


def test_every_name_in_alerts_and_dashboard_is_served(tmp_path: Path, port: int) -> None:
    """A line with a gate serves every name, also after the PLC has gone."""
    plc = PLC(tmp_path).start()
    gate = f'[gate]\nhost = "127.0.0.1"\nport = {plc.port}\ndevice_id = {DEVICE}\nbase_register = {BASE}\n'
    line = watched(tmp_path, port, text=gate)
    process = line.start("run", "--config", line.config, "--out", tmp_path / "out")
    wait_for_verdicts(tmp_path / "out", 5)
    until(lambda: value(port, "inspector_gate_verdicts_total", outcome="taken") > 0, "no verdict at the gate")
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    panels = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())["panels"]
    asked = " ".join(
        [rule["expr"] for group in groups for rule in group["rules"]]
        + [target["expr"] for panel in panels for target in panel["targets"]]
    )
    used = set(re.findall(r"\binspector[:_][a-z0-9_:]+", asked)) - recorded
    assert len(used) > 20
    missing = used - {name for name, _ in metrics(port)}
    # A line without [strip] and drift window has none of these; test_strip_state and test_drift see them.
    beside = {name for name in used if name.startswith(("inspector_strip", "inspector_level2", "inspector_drift"))}
    assert len(beside) == 7
    assert missing == beside
    plc.stop()
    until(says(port, "gate: takes no verdicts"), "a PLC that has gone is not found")
    interrupt(process)
    line.finish(process, tmp_path / "out")


def test_what_cannot_be_asked_is_one_clear_line(tmp_path: Path, port: int) -> None:
    """No line: exit 1. No [health] table: exit 2. A port that another program has: exit 2, nothing starts."""
    line = watched(tmp_path, port)
    code, _, said = run_status(line)
    refusal = f"no line is running: nothing listens on 127.0.0.1:{port}: start the line"
    assert (code, said) == (1, f"inspector status: error: {refusal}\n")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        run = line.run()
        assert run.code == 2
        assert f"health.port: {port} cannot be listened on" in run.stderr
    line.write_config()
    code, _, said = run_status(line)
    assert code == 2
    assert "has no [health] table" in said


@pytest.mark.parametrize(
    ("module", "table"),
    [("pymodbus", '[gate]\nhost = "127.0.0.1"\n'), ("prometheus_client", "[health]\nport = 1\n")],
)
def test_a_missing_library_is_named_with_its_command(tmp_path: Path, module: str, table: str) -> None:
    """The line runs without it; a config with a gate or metrics gets the install command."""
    line = LineUnderTest(tmp_path)
    line.write_config(table)
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text(f"raise ModuleNotFoundError('gone', name={module!r})\n")
    done = subprocess.run(
        [sys.executable, "-m", "inspector", "decide", "--config", str(line.config)],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert f"needs {module}, which is not installed: pip install 'strip-inspector[service]'" in done.stderr
