"""What needs an NVIDIA GPU. Without one, or without a library, a test skips and says which in a word."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from inspector.backends.cuda import Gpu, open_cuda
from inspector.backends.tensorrt_versions import installed_version
from inspector.engine.manifest import EngineFolder, open_folder
from inspector.errors import EngineError
from trainer.cli import main

DEMO = Path(__file__).parents[2] / "configs" / "demo"

LEAN = Path(__file__).parents[2] / "out" / "bindings" / "lean"
"""From `make bindings`."""


@pytest.fixture(scope="session", autouse=True)
def gpu() -> Gpu:
    """The first one; its line heads every figure printed here."""
    try:
        cuda = open_cuda(Path(__file__).parent)
    except EngineError as error:
        print(f"\n{error}")
        pytest.skip("no GPU")
    found = cuda.gpu()
    cuda.close()
    print(f"\n{found.name}, {found.memory_bytes / 2**30:.0f} GiB, {found.versions()}")
    return found


@pytest.fixture(scope="session")
def nvrtc() -> ModuleType:
    """NVIDIA's run-time compiler; torch brings it, as does `pip install nvidia-cuda-nvrtc`."""
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as missing:  # the latter of the loader: the library is not there
        print(missing)
        pytest.skip("no NVRTC")
    return nvrtc


@pytest.fixture(scope="session")
def backend_here(request: pytest.FixtureRequest) -> str:
    """Its parameter, "torch" or "tensorrt", where that can run here."""
    name: str = request.param
    if name == "torch":
        torch = pytest.importorskip("torch", reason="no torch")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA in this torch")
    else:
        needs_tensorrt()
    return name


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All engines are built side by side: TensorRT's timings of one serve the next."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def demo_engine(engines: Path) -> Callable[[str, str], EngineFolder]:
    """(backend, precision) → the demo model, which is a `fast`, as users get it; each is built once."""

    @cache
    def built(backend: str, precision: str) -> EngineFolder:
        out = engines / f"demo-{backend}-{precision}"
        options = ("--backend", backend, "--precision", precision, "--max-batch", "16")
        assert main(["build-engine", str(DEMO / "model"), "--out", str(out), *options]) == 0
        return open_folder(out)

    return built


def needs_tensorrt() -> None:
    """Skip where it is not installed, or cannot be imported."""
    try:
        installed_version(Path(__file__).parent)
    except EngineError as error:
        print(f"\n{error}")
        pytest.skip("no TensorRT")


@pytest.fixture(params=["lean", "tensorrt"])
def library(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a process that has it: the runtime from PyPI, or the TensorRT that is installed."""
    if request.param == "tensorrt":
        needs_tensorrt()
        return dict(os.environ)
    if not LEAN.is_dir():
        pytest.skip("no tensorrt-lean")
    return {**os.environ, "PYTHONPATH": str(LEAN)}
