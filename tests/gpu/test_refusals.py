"""NVIDIA's own library refuses an invalid plan in one line, without a crash."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.backends.cuda import Gpu
from inspector.engine.manifest import EngineFolder, file_sha256, open_folder
from tests.support.cuda_networks import kernel_folder

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

OPEN = """
import sys
from pathlib import Path
from inspector.backends import open_backend
from inspector.engine.manifest import open_folder
from inspector.errors import InspectorError
try:
    with open_backend(open_folder(Path(sys.argv[1]))):
        pass
except InspectorError as error:
    print(f"{type(error).__name__}: {error}")
"""

PLANS = {"empty": b"", "no plan": b"no plan" * 1000, "a torn one": b"ftrt" + bytes(4096)}
"""A real plan begins with "ftrt"."""


@pytest.mark.parametrize("plan", PLANS)
def test_the_library_itself_refuses_a_bad_plan(
    library: dict[str, str], plan: str, gpu: Gpu, tmp_path: Path
) -> None:
    """Its manifest fits this PC, so the plan is deserialised; TensorRT's own words say what is wrong."""
    version = run("import tensorrt; print(tensorrt.__version__)", library)
    said = run(OPEN, library, str(bad_engine(tmp_path / "engine", PLANS[plan], version, gpu).path))
    assert said.startswith("EngineError: ")
    assert f"model.plan: TensorRT {version} cannot open it (" in said
    assert "TensorRT gave no reason" not in said
    assert "build the engine again" in said


def test_an_engine_of_another_version_is_never_given_to_the_library(
    library: dict[str, str], gpu: Gpu, tmp_path: Path
) -> None:
    """The manifest is enough: the line names both versions and the command."""
    said = run(OPEN, library, str(bad_engine(tmp_path / "engine", b"", "10.0.0.1", gpu).path))
    assert "built with TensorRT 10.0.0.1, here is" in said
    assert "trainer build-engine MODEL --backend tensorrt" in said


def bad_engine(path: Path, plan: bytes, version: str, gpu: Gpu) -> EngineFolder:
    """A folder whose manifest says TensorRT of this version, on this GPU."""
    kernel_folder(path, size=(64, 128), max_batch=2)
    (path / "model.plan").write_bytes(plan)
    content = json.loads((path / "manifest.json").read_text())
    content["files"]["model.plan"] = file_sha256(path / "model.plan")
    content |= {"backend": "tensorrt", "versions": {"tensorrt": version, **gpu.versions()}, "options": {}}
    (path / "manifest.json").write_text(json.dumps(content))
    return open_folder(path)


def run(program: str, environment: dict[str, str], *arguments: str) -> str:
    """The last line it prints; it must end by itself."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]
