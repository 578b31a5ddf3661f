"""`build-engine` for GPUs: verified like any other. The GPU is a stand-in; torch runs for real, on the CPU."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import helper

from inspector.backends import open_backend
from inspector.backends.torch import _cause
from inspector.engine.manifest import open_folder
from inspector.errors import WorkError
from tests.support.gpu_pcs import stand_in_gpu
from trainer.build.onnx_torch import _OPERATORS, OnnxModule
from trainer.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def gpu() -> Iterator[None]:
    with stand_in_gpu():
        yield


def build(model: Path, out: Path, *options: str) -> int:
    return main(["build-engine", str(model), "--out", str(out), *options])


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error line, without log lines, which are JSON."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_tensorrt_engine_is_built_verified_and_opened(
    model_folder: Path, tmp_path: Path, gpu: None, precision: str
) -> None:
    """Manifest: TensorRT, GPU, capability, driver; beside the plan what it was built from and the build's log."""
    out = tmp_path / "engine"
    assert build(model_folder, out, "--backend", "tensorrt", "--precision", precision, "--max-batch", "4") == 0
    folder = open_folder(out)
    manifest = folder.manifest
    assert (manifest.backend, manifest.precision, manifest.max_batch) == ("tensorrt", precision, 4)
    known = ("tensorrt", "gpu", "compute_capability", "cuda_driver")
    assert [manifest.versions[name] for name in known] == ["11.4.0.106", "Stand-in GPU", "9.0", "13.2"]
    assert "openvino" not in manifest.versions
    assert {"model.plan", "model.gpu.onnx", "build.log"} <= set(manifest.files)
    assert "INFO: [MemUsageStats]" in (out / "build.log").read_text()
    assert manifest.quality["engine_against_model"]["mask_agreement"] >= 0.998
    assert manifest.speed["batch"] == 4
    with open_backend(folder) as engine:
        assert engine.verify_golden().mask_agreement == 1


def test_an_int8_engine_keeps_its_pairs_with_fp16_around(
    model_folder: Path, data: Path, tmp_path: Path, gpu: None
) -> None:
    """Calibrated and judged on real frames, as for any backend."""
    options = ("--precision", "int8", "--calibration", str(data), "--max-loss", "1", "--max-batch", "2")
    assert build(model_folder, tmp_path / "engine", "--backend", "tensorrt", *options) == 0
    model = onnx.load(tmp_path / "engine" / "model.gpu.onnx")
    scales = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert pairs
    assert {scales[node.input[1]] for node in pairs} == {onnx.TensorProto.FLOAT16}
    manifest = open_folder(tmp_path / "engine").manifest
    assert manifest.quality["engine_on_labelled_frames"]["loss_points"]["miou"] <= 1


def test_what_others_may_run_is_an_option(model_folder: Path, tmp_path: Path, gpu: None) -> None:
    """The manifest records it, so that another PC can accept or refuse the engine without opening it."""
    options = ("--max-batch", "2", "--version-compatible", "--hardware-compatible", "ampere_plus")
    assert build(model_folder, tmp_path / "engine", "--backend", "tensorrt", *options) == 0
    manifest = json.loads((tmp_path / "engine" / "manifest.json").read_text())
    assert manifest["options"] == {"version_compatible": True, "hardware_compatible": "ampere_plus"}


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"CUDA_GPU": ""}, 2, "needs an NVIDIA GPU"),
        ({"CUDA_FAIL": "cudaMalloc@3=cudaErrorIllegalAddress"}, 1, "cudaMalloc: "),
    ],
)
def test_a_build_that_fails_is_one_line_and_leaves_nothing(
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    code: int,
    said: str,
) -> None:
    """The line has CUDA's message, and no folder is left. The genuine builder tests TensorRT's refusals."""
    with stand_in_gpu(**settings):
        assert build(model_folder, tmp_path / "engine", "--backend", "tensorrt", "--max-batch", "2") == code
    assert said in said_by(capsys)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "openvino", "--precision", "fp16"), "openvino is built as bf16, fp32, int8"),
        (("--backend", "tensorrt", "--precision", "bf16"), "tensorrt is built as fp16, fp32, int8"),
        (("--backend", "torch", "--precision", "int8"), "torch is built as fp16, fp32"),
        (("--backend", "torch", "--device", "cpu"), "torch on a CPU is built as fp32"),
        (("--backend", "tensorrt", "--max-batch", "0"), "--max-batch must be 1 to 256, got 0"),
        (("--backend", "torch"), "needs an NVIDIA GPU"),
    ],
)
def test_what_a_backend_cannot_be_built_as_is_refused(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    """Exit 2 before anything is built."""
    with stand_in_gpu(CUDA_GPU=""):
        assert build(model_folder, tmp_path / "engine", *options) == 2
    assert said in said_by(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_torch_engine_on_the_cpu_agrees_with_the_model(model_folder: Path, tmp_path: Path) -> None:
    """The exported program gives the ONNX graph's maps for any batch up to the largest."""
    out = tmp_path / "engine"
    options = ("--backend", "torch", "--device", "cpu", "--precision", "fp32", "--max-batch", "3")
    assert build(model_folder, out, *options) == 0
    folder = open_folder(out)
    assert folder.manifest.options == {"device": "cpu"}
    assert folder.manifest.quality["engine_against_model"]["mask_agreement"] >= 0.999
    with open_backend(folder, threads=1) as engine:
        assert engine.verify_golden().mask_agreement == pytest.approx(1.0, abs=1e-4)
        assert engine.device().startswith("CPU, fp32, torch 2.")


def test_torch_exports_and_opens_beside_cuda_python(tmp_path: Path) -> None:
    """As on a GPU PC, where a build learns of the GPU first: torch walks all modules, and `cuda` has no file."""
    program = """
import sys
from pathlib import Path
from cuda.bindings import runtime
from tests.support.engines import write_gpu_engine
from inspector.backends import open_backend
from inspector.backends.torch import _cause
with open_backend(write_gpu_engine(Path(sys.argv[1]), "torch")) as engine:
    print(engine.verify_golden().mask_agreement)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(tmp_path / "engine")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


def test_an_operator_torch_has_no_translation_for_is_named() -> None:
    """The line names the operator and the backends that support it."""
    node = helper.make_node("NonZero", ["frames"], ["kind"])
    graph = helper.make_graph([node], "none", [], [])
    with pytest.raises(WorkError, match="the torch backend has no NonZero: build it with --backend tensorrt"):
        OnnxModule(helper.make_model(graph))
    node = helper.make_node("Resize", ["frames", "", "", "size"], ["kind"], mode="cubic")
    module = OnnxModule(helper.make_model(helper.make_graph([node], "none", [], [])))
    with pytest.raises(WorkError, match="takes no mode = b'cubic'"):
        module._nodes[0][0]([None, None, None, None], module._nodes[0][3])


def test_reshape_and_mean_keep_onnx_own_rules() -> None:
    """A size of 0 is the axis' own, or 0 with `allowzero`; no axes are all of them, or none."""
    data = torch.arange(6.0).reshape(2, 3)
    reshape, mean = (_operator(name) for name in ("Reshape", "ReduceMean"))
    assert reshape([data, [0, 3, 1]], {}).shape == (2, 3, 1)
    assert reshape([data[:0], [0, 1, 3]], {"allowzero": 1}).shape == (0, 1, 3)
    assert mean([data], {"keepdims": 0}) == 2.5
    assert mean([data], {"noop_with_empty_axes": 1}) is data
    assert mean([data, [1]], {"keepdims": 0}).tolist() == [1.0, 4.0]


def test_a_slice_back_is_a_whole_mirror_or_refused() -> None:
    """torch has no negative steps: a slice that is not a flip is refused."""
    data, back = torch.arange(6).reshape(2, 3), -(2**31)
    cut = _operator("Slice")
    assert cut([data, [-1], [back], [1], [-1]], {}).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert cut([data, [-1], [-4], [1], [-1]], {}).tolist() == [[2, 1, 0], [5, 4, 3]]
    for start, end, step in ((-2, back, -1), (-1, -3, -1), (-1, back, -2), (2, 0, -1)):
        with pytest.raises(WorkError, match=f"no Slice from {start} to {end} in steps of {step}"):
            cut([data, [start], [end], [1], [step]], {})


def _operator(name: str) -> Callable[[list[Any], dict[str, Any]], Any]:
    return _OPERATORS[name]


def test_fp32_on_a_gpu_is_fp32_and_the_fastest_kernel_is_looked_for() -> None:
    """In a separate process, because torch's switches are global. fp16 does not change the TF32 switch."""
    program = """
import sys, warnings
warnings.simplefilter("error")
import torch
from inspector.backends.torch import choose_kernels
choose_kernels(torch, sys.argv[1])
backends = torch.backends
print(backends.cudnn.benchmark, backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision)
"""
    for precision, switches in (("fp32", "True ieee ieee"), ("fp16", "True tf32 none")):
        command = [sys.executable, "-c", program, precision]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, switches), done.stderr


def test_what_fails_in_a_torch_capture_is_what_is_said() -> None:
    """torch ends the capture with another error, which comes last and does not name the cause."""

    def capture() -> None:
        try:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as caught:
        capture()
    assert str(_cause(caught.value)) == "CUDA out of memory. Tried to allocate 2 GiB"
