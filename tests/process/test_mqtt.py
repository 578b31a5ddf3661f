"""`inspector mqtt` against a real mosquitto: broker away, kills, TLS, and what its messages hold."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.broker import PASSWORD, RECEIVER, USER, Broker, Subscriber, needs_mosquitto
from tests.support.certificates import make_authority
from tests.support.lines import LineUnderTest
from tests.support.ports import free_port
from tests.support.written import WrittenLog, verdict

pytestmark = needs_mosquitto

HOUR_FRAMES = 36_000
"""Frames of an hour of steel at ten a second."""

WINDOW = 20
"""Messages that mosquitto allows without acknowledgement."""

KILLS = 4

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"

ENVIRONMENT = os.environ | {"BROKER_PASSWORD": PASSWORD}


class Mqtt:
    """A line's config with an [mqtt] table, and the process."""

    def __init__(self, folder: Path, port: int, more: str = "tls = false") -> None:
        self.line = line = LineUnderTest(folder)
        self.out, self.config, self.errors = folder / "out", line.config, folder / "stderr"
        self.process: subprocess.Popen[bytes] | None = None
        line.write_config(
            f'[sinks]\nout = "out"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\nuser = "{USER}"\n'
            f'password = "env:BROKER_PASSWORD"\n{more}\n',
            type="simulator",
            height=64,
            width=128,
            defective_share=0.3,
            frames_per_second=50,
        )

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inspector", "mqtt", "--config", str(self.config)],
                env=ENVIRONMENT, stdout=errors, stderr=errors,
            )  # fmt: skip

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        def seen() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]
            found = [line for line in lines if event in line["event"]]
            return found if len(found) >= count else []

        return until(seen, event)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


@contextlib.contextmanager
def running(mqtt: Mqtt, broker: Broker) -> Iterator[Subscriber]:
    broker.start()
    receiver = Subscriber(broker.port)
    try:
        mqtt.start()
        mqtt.wait_for("mqtt connected")
        yield receiver
    finally:
        mqtt.kill()
        receiver.close()
        broker.stop()


def test_an_hour_without_a_broker_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """36,000 frames and 3,600 defects are judged while the broker is away; then each comes once."""
    broker = Broker(tmp_path / "broker")
    mqtt = Mqtt(tmp_path, broker.port)
    log = WrittenLog(mqtt.out, 1_000_000)
    log.frames(0, 100)  # before the first start: not sent
    with running(mqtt, broker) as receiver:
        wanted = log.frames(100, 100)
        until(lambda: len(receiver.keys("defect")) == len(wanted), "the first defects")
        broker.stop()
        wanted += log.frames(200, HOUR_FRAMES)
        assert mqtt.wait_for("not connected")
        broker.start()
        until(lambda: receiver.keys("defect").keys() >= set(wanted), "the hour's defects")
        came = receiver.keys("defect")
        assert set(came) == set(wanted)
        assert came.total() - len(came) <= WINDOW, "again comes only what the broker had not acknowledged"
    assert len(list(mqtt.out.glob("verdicts-*.jsonl"))) > 5
    assert len(mqtt.wait_for("not connected")) <= 2, "one line that it went, one why it stays away"


def test_kills_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    """The process is killed again and again while it sends: every defect comes, and each key names one message."""
    broker = Broker(tmp_path / "broker")
    mqtt, dice, wanted = Mqtt(tmp_path, broker.port), random.Random(18), []  # noqa: S311
    log = WrittenLog(mqtt.out, 50_000)
    log.frames(0, 1)
    with running(mqtt, broker) as receiver:
        frame = 1
        for attempt in range(KILLS):
            wanted += log.frames(frame, 1500, 5)
            frame += 1500
            time.sleep(dice.uniform(0.0, 0.4))
            mqtt.kill()
            if attempt == 3:  # the broker hangs, and is killed over it
                broker.stop()
                broker.start()
            mqtt.start()
            mqtt.wait_for("mqtt connected", attempt + 2)
            time.sleep(dice.uniform(0.0, 0.3))
        until(lambda: receiver.keys("defect").keys() >= set(wanted), "every defect")
        assert set(receiver.keys("defect")) == set(wanted)
        by_key: dict[str, Any] = {}
        for content in receiver.of("defect"):
            assert by_key.setdefault(content["key"], content) == content


def test_what_the_log_no_longer_has_is_said(tmp_path: Path) -> None:
    """Beyond the buffer, which is the log itself, the loss is one line that names the key to raise."""
    broker = Broker(tmp_path / "broker")
    mqtt = Mqtt(tmp_path, broker.port)
    log = WrittenLog(mqtt.out, 20_000, keep=3)
    log.frames(0, 1)
    with running(mqtt, broker) as receiver:
        until((mqtt.out / "mqtt" / "cursor.json").exists, "a cursor")
        mqtt.kill()
        wanted = log.frames(1, 2000)
        mqtt.start()
        lost = mqtt.wait_for("deleted from the log")[0]
        assert "sinks.log_files" in lost["event"]
        until(lambda: wanted[-1] in receiver.keys("defect"), "the newest defect")
        came = receiver.keys("defect")
        assert set(came) == set(wanted[-len(came) :]), "what is left comes, without a hole"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    make_authority(folder, "plant")
    make_authority(folder, "stranger")
    return folder


def test_over_tls_with_coil_health_and_last_will(tmp_path: Path, authority: Path) -> None:
    """Every topic holds what its schema says; a killed process is shown as offline by the broker."""
    broker = Broker(tmp_path / "broker", (authority / "plant.crt", authority / "plant.key"))
    port = free_port()
    mqtt = Mqtt(tmp_path, broker.port, f'ca = "{authority / "plant-ca.crt"}"\n[strip]\n[health]\nport = {port}\n')
    log = WrittenLog(mqtt.out)
    log.frames(0, 1)
    (tmp_path / "strip" / "coils").mkdir(parents=True)
    broker.start()
    receiver = Subscriber(broker.port, authority / "plant-ca.crt")

    def has(kind: str, count: int) -> bool:
        return len(receiver.of(kind)) >= count

    try:
        mqtt.start()
        mqtt.wait_for("mqtt connected")
        log.frames(1, 40)
        (tmp_path / "strip" / "coils" / "000001.json").write_bytes(coil_result(1))
        for kind, count in (("defect", 4), ("coil", 1), ("health", 1)):
            until(partial(has, kind, count), kind)
            schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
            for message in receiver.of(kind):
                jsonschema.validate(message, schema)
        assert receiver.of("health")[0]["state"] == "down"
        assert receiver.of("coil")[0]["id"] == "C-1"
        assert receiver.of("online")[-1] == {"online": True}
        mqtt.kill()
        until(lambda: receiver.of("online")[-1] == {"online": False}, "the last will")
    finally:
        mqtt.kill()
        receiver.close()
        broker.stop()


@pytest.mark.parametrize(
    ("ca", "password", "why"),
    [
        ("stranger-ca.crt", PASSWORD, "certificate is refused"),
        ("plant-ca.crt", "wrong", "Not authorized"),
    ],
)
def test_a_refusal_is_one_line_and_it_goes_on_trying(
    tmp_path: Path, authority: Path, ca: str, password: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong certificate, wrong password: one line, and the results come when the broker lets it in."""
    monkeypatch.setitem(ENVIRONMENT, "BROKER_PASSWORD", password)
    broker = Broker(tmp_path / "broker", (authority / "plant.crt", authority / "plant.key"))
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes((authority / ca).read_bytes())
    mqtt = Mqtt(tmp_path, broker.port, f'ca = "{trusted}"')
    log = WrittenLog(mqtt.out)
    log.frames(0, 1)
    broker.start()
    receiver = Subscriber(broker.port, authority / "plant-ca.crt")
    try:
        mqtt.start()
        told = mqtt.wait_for("not connected")
        assert why in told[0]["why"]
        wanted = log.frames(1, 100)
        time.sleep(1.5)  # one more attempt
        assert len(mqtt.wait_for("not connected")) == 1
        assert mqtt.process is not None
        assert mqtt.process.poll() is None
        if password == PASSWORD:
            trusted.write_bytes((authority / "plant-ca.crt").read_bytes())
        else:
            subprocess.run(["mosquitto_passwd", "-b", broker.folder / "users", USER, "wrong"], check=True)
            assert broker.process is not None
            broker.process.send_signal(signal.SIGHUP)  # reads the users again
        until(lambda: len(receiver.keys("defect")) == len(wanted), "the defects")
    finally:
        mqtt.kill()
        receiver.close()
        broker.stop()


def test_a_message_over_the_broker_s_limit_costs_itself(tmp_path: Path) -> None:
    """One line names its topic and size; the results before and after it come, over one connection."""
    broker = Broker(tmp_path / "broker", more="max_packet_size 700")
    mqtt = Mqtt(tmp_path, broker.port, 'tls = false\n[strip]\nfolder = "strip"\n')
    coils = tmp_path / "strip" / "coils"
    coils.mkdir(parents=True)
    log = WrittenLog(mqtt.out)
    log.frames(0, 1)
    with running(mqtt, broker) as receiver:
        wanted = log.frames(1, 100)
        (coils / "000001.json").write_bytes(coil_result(1).replace(b"2 bright", b"2 bright" * 100))
        (left_out,) = mqtt.wait_for("left out")
        wanted += log.frames(101, 100)
        until(lambda: len(receiver.keys("defect")) == len(wanted), "the defects")
        assert left_out["topic"] == "strip-inspector/test/coil"
        assert re.search(r"its \d{4} bytes are more than the broker's limit of 700", left_out["why"])
        assert not receiver.of("coil")
        cursor = mqtt.out / "mqtt" / "cursor.json"
        until(lambda: json.loads(cursor.read_bytes())["coils"] == 1, "the cursor behind the coil")
        assert len(mqtt.wait_for("mqtt connected")) == 1


def test_a_topic_that_the_broker_refuses_costs_itself(tmp_path: Path) -> None:
    """One line names the topic; the other topics' messages come, over one connection."""
    rules = tmp_path / "broker" / "rules"
    # Without a limit of queued messages, mosquitto 2.0.11 ends the connection after a refusal.
    broker = Broker(tmp_path / "broker", more=f"acl_file {rules}\nmax_queued_messages 10000")
    rules.write_text(
        f"user {RECEIVER}\ntopic read #\nuser {USER}\ntopic write strip-inspector/test/online\n"
        "topic write strip-inspector/test/defect/top\n"
    )
    mqtt = Mqtt(tmp_path, broker.port)
    log = WrittenLog(mqtt.out)
    log.frames(0, 1)
    with running(mqtt, broker) as receiver:
        log.write(*(verdict(n, defects=1, camera="side") for n in range(1, 50)))
        wanted = log.frames(50, 200)
        until(lambda: len(receiver.keys("defect")) == len(wanted), "the defects of the other camera")
        (left_out,) = mqtt.wait_for("left out")
        assert left_out["topic"] == "strip-inspector/test/defect/side"
        assert "Not authorized" in left_out["why"]
        assert len(mqtt.wait_for("mqtt connected")) == 1


def test_two_lines_of_one_name_take_turns_slowly(tmp_path: Path) -> None:
    """A copied config: the reason is said, and the pauses grow although results come through."""
    broker = Broker(tmp_path / "broker")
    lines = [Mqtt(tmp_path / name, broker.port) for name in ("first", "second")]
    logs = [WrittenLog(mqtt.out) for mqtt in lines]
    with running(lines[0], broker):
        lines[1].start()
        try:
            until_s = time.monotonic() + 8
            while time.monotonic() < until_s:
                for log in logs:
                    log.frames(0, 1)
                time.sleep(0.2)
            assert (
                "another client with the same line name (strip-inspector-test)"
                in (lines[0].wait_for("not connected")[0]["why"])
            )
            assert sum(len(mqtt.wait_for("mqtt connected")) for mqtt in lines) <= 7
        finally:
            lines[1].kill()


CONNACK = b"\x20\x03\x00\x00\x00"
"""Accepted."""

TAKEN_OVER = b"\xe0\x02\x8e\x00"


def test_a_takeover_is_named_and_waited_for(tmp_path: Path) -> None:
    """The other client is left alone for the longest pause."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        mqtt = Mqtt(tmp_path, server.getsockname()[1])
        mqtt.start()
        server.settimeout(60)
        try:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(CONNACK)
                connection.recv(1000)
                connection.sendall(TAKEN_OVER)
                assert "has taken over: give each line its own name" in mqtt.wait_for("not connected")[0]["why"]
            server.settimeout(4)
            with pytest.raises(TimeoutError):
                server.accept()
        finally:
            mqtt.kill()


def test_a_broker_that_drops_every_connection_is_not_hammered(tmp_path: Path) -> None:
    """The pauses grow while no result gets through, though each connection is accepted first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        mqtt = Mqtt(tmp_path, server.getsockname()[1])
        mqtt.start()
        server.settimeout(60)
        times = []
        try:
            for _ in range(4):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(10)
                    connection.recv(1000)
                    connection.sendall(CONNACK)
                    connection.recv(1000)
                times.append(time.monotonic())
        finally:
            mqtt.kill()
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(pause > 0.9 * 2**n for n, pause in enumerate(pauses)), pauses


def test_a_broker_that_hangs_is_left(tmp_path: Path) -> None:
    """SIGTERM ends the process within seconds while the broker is frozen, and nothing is lost."""
    broker = Broker(tmp_path / "broker")
    mqtt = Mqtt(tmp_path, broker.port)
    log = WrittenLog(mqtt.out)
    log.frames(0, 1)
    with running(mqtt, broker) as receiver:
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        wanted = log.frames(1, 400)
        time.sleep(0.5)
        began_s = time.monotonic()
        mqtt.kill(signal.SIGTERM)
        assert time.monotonic() - began_s < 6
        broker.process.send_signal(signal.SIGCONT)
        mqtt.start()
        until(lambda: receiver.keys("defect").keys() >= set(wanted), "every defect")


def test_a_real_line_is_told_as_it_is(tmp_path: Path) -> None:
    """Every defect in the log of `inspector run` comes, and the health as decide says it."""
    broker, port = Broker(tmp_path / "broker"), free_port()
    mqtt = Mqtt(tmp_path, broker.port, f"tls = false\n[health]\nport = {port}\n")
    with running(mqtt, broker) as receiver:
        process = mqtt.line.start("run", "--config", mqtt.config)
        try:
            until(lambda: len(receiver.keys("defect")) >= 20, "defects")
            until(lambda: {"down", "healthy"} <= {each["state"] for each in receiver.of("health")}, "health")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        (log,) = mqtt.out.glob("*/verdicts.jsonl")
        verdicts = [json.loads(line) for line in log.read_text().splitlines()]
        wanted = {
            f"defect:top:{each['ingest_epoch']}:{each['frame_id']}:{each['captured_ns']}:{n}"
            for each in verdicts
            for n in range(len(each["defects"]))
        }
        until(lambda: receiver.keys("defect").keys() >= wanted, "the last defects")
        assert receiver.keys("defect") == dict.fromkeys(wanted, 1)


def coil_result(number: int) -> bytes:
    """A judged coil as the strip process keeps it."""
    return json.dumps(
        {
            "number": number, "id": f"C-{number}", "grade": "DC04", "customer": "", "width_mm": 1500.0,
            "thickness_mm": None, "stated_length_mm": None, "start_mm": 0.0, "end_mm": 64_000.0,
            "length_mm": 64_000.0, "started_ns": 5, "ended_ns": 9, "end_why": "", "plan": "", "plan_why": "",
            "recipe": "test@1", "verdict": "hold", "reasons": ["2 bright"], "frames": 500, "frames_rejected": 2,
            "frames_uninspected": 0, "uninspected_mm": 0.0, "uninspected": [], "count": 2, "counts": {"bright": 2},
            "severities": {"1": 2}, "engines": ["test@2"], "recipes": ["test@1"], "roll_marks": [], "defects": [],
        }
    ).encode()  # fmt: skip
