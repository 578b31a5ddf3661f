"""What tests/bindings/test_rtx.py runs in child processes, where a crash of TensorRT's library is an exit code.

`build MODEL PRECISION PLAN [OPTION]`, `parse ONNX [HEIGHT]`, `open PLAN`, `interrupted MODEL FOLDER`.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import onnx
import tensorrt as trt

from inspector import logs
from inspector.errors import InspectorError
from trainer.build.gpu_onnx import write_gpu_onnx
from trainer.build.request import BuildRequest, GpuOptions
from trainer.build.tensorrt_plan import build_plan

VERSION = trt.__version__


def plan_of(onnx_path: Path, size: tuple[int, int], folder: Path, precision: str, gpu: GpuOptions) -> bytes:
    """Built twice, the second time from the first one's timings."""
    height, width = size
    request = BuildRequest(onnx_path, height, width, folder=folder, beside=folder, precision=precision, gpu=gpu)
    cache = folder / "timings"
    build_plan(request, onnx_path, VERSION, cache)
    assert cache.stat().st_size > 0
    plan, lines = build_plan(request, onnx_path, VERSION, cache)
    cache.write_bytes(b"torn" * 100)
    build_plan(request, onnx_path, VERSION, cache)
    assert cache.stat().st_size != len(b"torn" * 100)
    assert lines
    assert not any(line.startswith("VERBOSE") for line in lines)
    return plan


def build(model: Path, precision: str, plan_path: Path, option: str | None = None) -> None:
    """The plan of a model folder or an ONNX file, for int8 a calibrated one, as `build-engine` makes it."""
    gpu = GpuOptions(max_batch=4)
    if option == "version":
        gpu = GpuOptions(max_batch=4, version_compatible=True)
    elif option is not None:
        gpu = GpuOptions(max_batch=4, hardware_compatible=option)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = model / "model.onnx" if model.is_dir() else model
        write_gpu_onnx(source, folder / "gpu.onnx", precision, watched=True)
        frames = onnx.load(source).graph.input[0].type.tensor_type.shape.dim
        size = (frames[1].dim_value, frames[2].dim_value)
        plan = plan_of(folder / "gpu.onnx", size, folder, precision, gpu)
    plan_path.write_bytes(plan)
    print(f"plan of {len(plan)} bytes, timing cache, INFO and above")


def parse(onnx_path: Path, height: str = "8") -> None:
    """A model, or a profile, that is refused."""
    with tempfile.TemporaryDirectory() as scratch:
        plan_of(onnx_path, (int(height), 8), Path(scratch), "fp32", GpuOptions(max_batch=4))


def open_plan(path: Path) -> None:
    """As the worker opens it; no memory of the GPU is asked for before the plan is deserialised."""
    from inspector.backends.tensorrt_engine import TensorRtNetwork

    TensorRtNetwork(
        SimpleNamespace(manifest=None, read=lambda _: path.read_bytes()),  # type: ignore[arg-type]
        path,
        SimpleNamespace(works=lambda: True),  # type: ignore[arg-type]
    )


def interrupted(model: Path, folder: Path) -> int:
    """Run `build-engine` with Ctrl-C at the builder's first step."""
    from trainer.build.tensorrt_progress import BuildProgress
    from trainer.cli import main

    step = BuildProgress.step_complete

    def ctrl_c(self: BuildProgress, phase_name: str, step_number: int) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, phase_name, step_number)

    BuildProgress.step_complete = ctrl_c  # type: ignore[assignment]
    return main(["build-engine", str(model), "--backend", "tensorrt", "--out", str(folder / "engine")])


def run(what: str, *arguments: str) -> int:
    paths = [Path(each) for each in arguments]
    if what == "interrupted":
        return interrupted(*paths)
    logs.configure("test")
    try:
        if what == "build":
            build(paths[0], arguments[1], paths[2], *arguments[3:])
        elif what == "parse":
            parse(paths[0], *arguments[1:])
        else:
            open_plan(paths[0])
    except InspectorError as error:
        print(error)
    return 0


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
