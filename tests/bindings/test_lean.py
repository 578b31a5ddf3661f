"""NVIDIA's genuine lean runtime, library and all, on a PC without a GPU: it refuses, and we say so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LEAN = Path(__file__).parents[2] / "out" / "bindings" / "lean"

OPEN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from inspector.backends.tensorrt_engine import TensorRtNetwork
from inspector.errors import EngineError
try:
    folder = SimpleNamespace(manifest=None, read=lambda _: Path(sys.argv[1]).read_bytes())
    TensorRtNetwork(folder, Path(sys.argv[1]), SimpleNamespace(works=lambda: True))
except EngineError as error:
    print(error)
"""


def test_the_genuine_runtime_without_a_driver_does_not_crash_us(tmp_path: Path) -> None:
    """Its bindings hand out an object around nothing, which crashes when used or freed: its log is heeded."""
    if not LEAN.is_dir():
        pytest.skip("no lean runtime: `make bindings` fetches it from PyPI")
    plan = tmp_path / "model.plan"
    plan.write_bytes(b"no plan")
    # A PC with a GPU is made one without.
    environment = {**os.environ, "PYTHONPATH": str(LEAN), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", OPEN, str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith(f"{plan}: TensorRT 11.4.0.106 does not start (")
    assert "CUDA" in said
    assert "`nvidia-smi` must show a driver for CUDA 13" in said
