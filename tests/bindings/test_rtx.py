"""NVIDIA's genuine parser and builder (TensorRT-RTX, on the CPU alone) build what this project exports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inspector.engine import golden
from trainer.build.gpu_onnx import write_gpu_onnx
from trainer.build.quantise import quantise
from trainer.export.onnx_file import write_onnx
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet, fold_batch_norms

ROOT = Path(__file__).parents[2]
RTX = ROOT / "out" / "bindings" / "rtx"
CHILD = Path(__file__).with_name("rtx_child.py")
MODELS = {
    "demo": ROOT / "configs/demo/model",
    "severstal": ROOT / "tests/benchmarks/severstal/model",
    "neu_seg": ROOT / "tests/benchmarks/neu_seg/model",
}
LIMIT_S = 120

pytestmark = pytest.mark.skipif(
    not (RTX / "tensorrt.py").is_file(), reason="no TensorRT-RTX: `make bindings` fetches it from PyPI"
)


def environment(**more: str) -> dict[str, str]:
    """Genuine TensorRT; the GPU that the builder asks for is the stand-in. A PC with a GPU is made one without."""
    paths = (RTX, ROOT / "tests" / "stand_in")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "CUDA_VISIBLE_DEVICES": "", **more}


def child(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", str(CHILD), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, env=environment(**more)
    )


def ended_well(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines it printed: exit code 0, and nothing on its error output."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `trainer export` writes for a net of a few weights: uint8 frames of 64×96 px."""
    net = build_model(PRESETS["fast"] | {"widths": [8, 16, 16]}, 3).eval()
    inspection = InspectionNet(fold_batch_norms(net), 64, 96, net.map_stride).eval()
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    write_onnx(inspection, 64, 96, path, half_weights=False)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_model_of_the_project_is_built(precision: str, tmp_path: Path) -> None:
    """As `build-engine` gives it to TensorRT; int8 is calibrated on the model's golden frames."""
    for name, folder in MODELS.items():
        model, plan = folder, tmp_path / f"{name}.plan"
        if precision == "int8":
            model = tmp_path / f"{name}.onnx"
            # Two frames give the same operators as all; only their ranges differ.
            quantise(folder / "model.onnx", model, golden.load(folder / "golden.npz").frames[:2])
        (said,) = ended_well(child("build", model, precision, plan))
        assert said == f"plan of {plan.stat().st_size} bytes, timing cache, INFO and above"
        assert plan.stat().st_size > 100_000


def test_a_pretrained_encoder_with_its_frame_score_is_built(tmp_path: Path) -> None:
    """In fp32 and fp16; its third output has no map."""
    net = build_model(PRESETS["pretrained"], 5).eval()
    exported, plan = tmp_path / "model.onnx", tmp_path / "model.plan"
    inspection = InspectionNet(fold_batch_norms(net), 64, 96, net.map_stride).eval()
    write_onnx(inspection, 64, 96, exported, half_weights=False)
    for precision in ("fp32", "fp16"):
        (said,) = ended_well(child("build", exported, precision, plan))
        assert said.startswith("plan of ")


def test_a_small_export_is_built_with_every_option(small: Path, tmp_path: Path) -> None:
    """Hardware levels and version compatibility are set, which this builder takes note of and warns about."""
    for options in ((), ("version",), ("same_compute_capability",), ("ampere_plus",)):
        done = child("build", small, "fp32", tmp_path / "small.plan", *options)
        assert ended_well(done)[-1].startswith("plan of ")


def test_a_plan_opens_and_is_refused_for_want_of_a_driver(small: Path, tmp_path: Path) -> None:
    """One line that names the driver; torn and empty plans are refused in one line that says to build again."""
    plan = tmp_path / "small.plan"
    ended_well(child("build", small, "fp32", plan))
    (said,) = ended_well(child("open", plan))
    assert "cudaError 35: CUDA driver version is insufficient" in said
    assert said.endswith("`nvidia-smi` must show a driver for CUDA 13 and free memory")
    whole = plan.read_bytes()
    for name, content in (("torn", whole[: len(whole) // 2]), ("empty", b""), ("other", b"no plan" * 100)):
        (tmp_path / name).write_bytes(content)
        (said,) = ended_well(child("open", tmp_path / name))
        assert said.startswith(f"{tmp_path / name}: TensorRT 11.4.0.106 cannot open it (")
        assert said.endswith(": build the engine again on this PC")


def test_what_the_runtime_says_goes_to_our_log(tmp_path: Path) -> None:
    """INFO as debug, one JSON object a line."""
    (tmp_path / "plan").write_bytes(b"no plan" * 100)
    done = child("open", tmp_path / "plan", INSPECTOR_LOG_LEVEL="debug")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert '"said": "Loaded engine size' in line
    assert '"level": "debug"' in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unsupported", "node 1, Unique 'find/unique': no such operator (UNSUPPORTED_NODE)"),
        ("plugin", "node 1, Foo 'ours/foo': Plugin not found, are the plugin name"),
        ("dilated", "node 2, MaxPool 'pool': This version of TensorRT does not support dilations other than 1."),
        ("uint8", "node 0, Add 'sum8': ITensor::getDimensions: Error Code 4: API Usage Error (sum8: Element"),
        ("torn", "Failed to parse the ONNX model. (MODEL_DESERIALIZE_FAILED)"),
        ("empty", "its inputs and outputs are none, not frames, kind, score"),
    ],
)
def test_a_refused_model_is_one_line_that_names_the_node(name: str, said: str, tmp_path: Path) -> None:
    """In the parser's words, without those of its source code; never "false", and no crash."""
    path = tmp_path / "refused.onnx"
    write_refused(name, path)
    (line,) = ended_well(child("parse", path))
    assert line.startswith("refused.onnx: TensorRT 11.4.0.106 refuses the model: ")
    assert said in line
    assert "false" not in line


def test_a_profile_that_does_not_fit_the_model_is_refused(small: Path, tmp_path: Path) -> None:
    """Frames of another height than the model's."""
    write_gpu_onnx(small, tmp_path / "gpu.onnx", "fp32", watched=True)
    (line,) = ended_well(child("parse", tmp_path / "gpu.onnx", 9))
    assert "TensorRT 11.4.0.106 cannot build it: " in line


def test_ctrl_c_ends_a_build_between_two_steps(tmp_path: Path) -> None:
    """SIGINT at the builder's first step: exit 130, one line, no plan and no folder."""
    command = [sys.executable, "-X", "faulthandler", str(CHILD), "interrupted", str(MODELS["demo"]), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, env=environment())
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "trainer: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_the_command_builds_up_to_the_driver_and_leaves_nothing(tmp_path: Path) -> None:
    """`trainer build-engine`, whole: the plan is built, and the line says that it lacks a driver to open it."""
    arguments = ("build-engine", str(MODELS["demo"]), "--backend", "tensorrt", "--max-batch", "4")
    command = [sys.executable, "-X", "faulthandler", "-m", "trainer.cli", *arguments]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "engine")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=ROOT,
        env=environment(),
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "cudaError 35" in line
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def write_refused(name: str, path: Path) -> None:
    if name in ("torn", "empty"):
        whole = (MODELS["demo"] / "model.onnx").read_bytes()
        path.write_bytes(whole[:200_000] if name == "torn" else b"")
        return
    node = helper.make_node
    grey, back = node("Cast", ["frames"], ["grey"], to=TensorProto.FLOAT), node("Cast", ["x"], ["kind"], to=2)
    axis = numpy_helper.from_array(np.array([1]), "axis")
    pool = node("MaxPool", ["image"], ["x"], name="pool", kernel_shape=[2, 2], dilations=[2, 2])
    nodes = {
        "unsupported": [grey, node("Unique", ["grey"], ["x"], name="find/unique"), back],
        "plugin": [grey, node("Foo", ["grey"], ["x"], name="ours/foo", domain="ours"), back],
        "dilated": [grey, node("Unsqueeze", ["grey", "axis"], ["image"]), pool, back],
        "uint8": [node("Add", ["frames", "frames"], ["kind"], name="sum8")],
    }[name]
    shape = ["N", 8, 8]
    ends = [helper.make_tensor_value_info(each, TensorProto.UINT8, shape) for each in ("frames", "kind")]  # type: ignore[arg-type]
    graph = helper.make_graph(nodes, "refused", ends[:1], ends[1:], [axis])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
