"""What `inspector status` says of a line that is not there, starts, or has failed units."""

import socket
import threading
import time
from pathlib import Path

import pytest

from inspector.commands import status as module
from inspector.commands.units import findings
from inspector.config.sinks import HealthSettings
from inspector.errors import WorkError
from inspector.monitoring.http import HealthServer

pytest.importorskip("prometheus_client")


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def config(tmp_path: Path, port: int) -> Path:
    path = tmp_path / "line.toml"
    path.write_text(
        f'name = "t"\nengine = "e"\nrecipe = "r"\n[cameras.top]\ntype = "simulator"\n[health]\nport = {port}\n'
    )
    return path


def test_a_failed_unit_is_named_with_its_commands() -> None:
    """What is started again is named, too; what runs or was stopped is not."""
    listed = (
        "inspector-decide.service loaded active running Strip inspector: decide\n"
        "inspector-worker@demo.service loaded failed failed Strip inspector: worker\n"
        "inspector-ingest@top.service loaded activating auto-restart Strip inspector: ingest\n"
        "inspector-alarm@x.service loaded inactive dead Strip inspector: alarm\n"
    )
    failed, again = findings(listed)
    assert "`systemctl reset-failed inspector-worker@demo; systemctl start inspector-worker@demo`" in failed
    assert "journalctl -u inspector-worker@demo" in failed
    assert again.startswith("inspector-ingest@top keeps restarting: `journalctl -u inspector-ingest@top")
    assert findings("") == []


def test_a_line_right_after_its_start_is_starting(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The state is `starting`, because nothing is wrong yet; the exit code still says unhealthy."""
    with HealthServer(HealthSettings(port=port), config.parent):
        assert module.status(config, as_json=False) == 1
    assert capsys.readouterr().out.startswith("starting\n")


def test_it_waits_for_a_line_that_is_not_there_yet(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--wait` waits until decide listens and the line is healthy, then prints the state."""
    with pytest.raises(WorkError, match="no line is running"):
        module.status(config, as_json=False)
    health = HealthServer(HealthSettings(port=port), config.parent)
    begin = threading.Timer(0.6, health.__enter__)
    begin.start()
    began_s = time.monotonic()
    assert module.status(config, wait_s=2.0, as_json=False) == 1
    assert 1.5 < time.monotonic() - began_s < 5
    health.__exit__()
    assert "decide is starting" in capsys.readouterr().out
