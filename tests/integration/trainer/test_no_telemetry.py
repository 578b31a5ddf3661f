"""Nothing leaves the PC: `export`, `build-engine` and an engine that is opened talk to nobody, and keep no id."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engines import write_openvino_engine
from tests.support.lines import LineUnderTest

ROOT = Path(__file__).parents[3]
LOCAL = ("127.0.0.1", "::1")
DNS_PORT = "53"

_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"')


def spoken_to(home: Path, *command: str) -> list[str]:
    """Run the command with an empty home; returns addresses outside this PC, and name look-ups."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: nothing else sees what a library in C connects to")
    home.mkdir(exist_ok=True)
    seen = home.parent / "calls"
    tracer = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(seen)]
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    done = subprocess.run(
        [*tracer, *command], capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    found = [_ADDRESS.search(line) for line in seen.read_text().splitlines()]
    ends = [match.groups() for match in found if match]
    return [f"{address}:{port}" for port, address in ends if address not in LOCAL or port == DNS_PORT]


def ids_kept(home: Path) -> list[str]:
    """Files of the libraries' makers."""
    kept = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return [name for name in kept if re.search(r"intel/|microsoft|onnxruntime|deviceid", name, re.IGNORECASE)]


def test_a_look_up_and_a_stranger_are_seen(tmp_path: Path) -> None:
    """The test's own watch detects a name look-up and a foreign address."""
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.connect(('192.0.2.1', 9)); s.connect(('127.0.0.1', 53)); s.connect(('127.0.0.1', 9))"
    )
    assert spoken_to(tmp_path / "home", sys.executable, "-c", program) == ["192.0.2.1:9", "127.0.0.1:53"]


def test_export_and_build_talk_to_nobody(run_folder: Path, tmp_path: Path) -> None:
    """ONNX Runtime judges the export; OpenVINO builds, opens and measures the engine."""
    home, trainer = tmp_path / "home", (sys.executable, "-m", "trainer.cli")
    exported, engine = tmp_path / "model", tmp_path / "engine"
    assert spoken_to(home, *trainer, "export", str(run_folder / "best.ckpt"), "--out", str(exported)) == []
    assert spoken_to(home, *trainer, "build-engine", str(exported), "--out", str(engine)) == []
    assert ids_kept(home) == []


def test_int8_calibration_talks_to_nobody(model_folder: Path, data: Path, tmp_path: Path) -> None:
    """NNCF imports OpenVINO's analytics by itself."""
    options = ("--precision", "int8", "--calibration", str(data), "--max-loss", "100")
    command = (sys.executable, "-m", "trainer.cli", "build-engine", str(model_folder), *options)
    assert spoken_to(tmp_path / "home", *command, "--out", str(tmp_path / "engine")) == []
    assert ids_kept(tmp_path / "home") == []


def test_a_line_talks_to_nobody(tmp_path: Path) -> None:
    """All stages of `inspector run`, with an OpenVINO engine."""
    line = LineUnderTest(tmp_path)
    shutil.rmtree(tmp_path / "engine")
    write_openvino_engine(tmp_path / "engine", classes=("normal", "bright"))
    out = tmp_path / "out"
    command = (sys.executable, "-m", "inspector", "run", "--config", str(line.config), "--out", str(out))
    assert spoken_to(tmp_path / "home", *command) == []
    assert len((out / "verdicts.jsonl").read_text().splitlines()) == 40
    assert ids_kept(tmp_path / "home") == []


@pytest.mark.slow
def test_training_talks_to_nobody(data: Path, tmp_path: Path) -> None:
    """torch, Lightning and TensorBoard."""
    options = ("--out", str(tmp_path / "run"), "--preset", "fast", "--minutes", "0.05", "--threads", "1")
    command = (sys.executable, "-m", "trainer.cli", "train", "--data", str(data), *options)
    assert spoken_to(tmp_path / "home", *command) == []
    assert ids_kept(tmp_path / "home") == []
