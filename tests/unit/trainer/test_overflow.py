"""A frame on which the network overflows ends as score 255, in every backend and in models exported before."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import openvino as ov
import pytest
import torch
from torch import Tensor, nn

from inspector.values import Pixels
from trainer.build.gpu_onnx import write_gpu_onnx
from trainer.build.onnx_overflow import guard_ends, watch_activations
from trainer.build.onnx_torch import OnnxModule
from trainer.build.openvino import build_openvino
from trainer.build.openvino_overflow import LOG_OF_SLOPE
from trainer.build.request import BuildRequest
from trainer.export.onnx_file import write_onnx
from trainer.models.contract import InspectionNet
from trainer.models.network import Network

SIZE = (64, 64)
STRIDE = 4
FRAMES = np.stack([np.full(SIZE, 255, np.uint8), np.full(SIZE, 120, np.uint8)])
"""The first makes the nets below overflow, the second does not."""


class Overflowing(Network):
    """Sound steel for grey levels up to 254; of 255 it makes numbers too large for fp32."""

    map_stride = STRIDE

    def __init__(self, kinds: int, *, early: bool, gain: float = 6e4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.early, self.gain = early, gain
        self.first, self.loud = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, bias=False)
        self.mixed = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.head = nn.Conv2d(4, kinds + 1, 1)
        nn.init.ones_(self.first.weight)
        nn.init.zeros_(self.first.bias)  # type: ignore[arg-type]
        self.loud.weight.data = gain * torch.eye(4)[:, :, None, None]
        self.head.bias.data[0] = 5.0

    def forward(self, grey: Tensor) -> Tensor:
        """Early: infinity, then NaN in every layer after it, which a ReLU may lose. Else: infinite logits."""
        saturated = torch.relu(self.first(nn.functional.avg_pool2d(grey, STRIDE) - 254))
        x = saturated
        for _ in range(10 if self.early else 0):
            x = torch.relu(self.loud(x))
        for layer in self.mixed:
            x = torch.relu(layer(x))
        logits = self.head(x)
        if self.early:
            return logits
        hot = saturated[:, :1] * 1e30
        return logits + hot * hot


def exported(net: Network, path: Path, flips: int = 1) -> InspectionNet:
    inspection = InspectionNet(net, *SIZE, STRIDE, flips).eval()
    write_onnx(inspection, *SIZE, path, half_weights=False)
    return inspection


def without_guards(path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]) -> None:
    """As exports were before: the comparisons always say yes, and are cut out of the file."""
    monkeypatch.setattr("trainer.models.contract._probabilities", lambda logits: logits.softmax(dim=1))
    write()
    monkeypatch.undo()
    model = onnx.load(path)
    nodes = {name: node for node in model.graph.node for name in node.output}
    cast = nodes["score"]
    limit = nodes[cast.input[0]]
    assert limit.op_type == "Where"
    cast.input[0] = limit.input[1]
    onnx.save(model, path)


def run_onnx(path: Path) -> tuple[Pixels, Pixels]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kind, score = session.run(["kind", "score"], {"frames": FRAMES})
    return kind, score


def run_openvino(model: ov.Model, precision: str) -> tuple[Pixels, Pixels]:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    answers = [compiled(FRAMES[index : index + 1]) for index in range(len(FRAMES))]
    return tuple(np.concatenate([each[name] for each in answers]) for name in ("kind", "score"))  # type: ignore[return-value]


def openvino_engine(onnx_path: Path, folder: Path, precision: str) -> tuple[Pixels, Pixels]:
    folder.mkdir()
    build_openvino(BuildRequest(onnx_path, *SIZE, folder=folder, beside=folder.parent, precision=precision))
    return run_openvino(ov.Core().read_model(folder / "model.xml"), {"fp32": "f32"}.get(precision, precision))


def found(maps: tuple[Pixels, Pixels], kinds: int) -> tuple[int, bool]:
    """The least score of the frame that overflows, and whether the other one is sound."""
    kind, score = maps
    assert kind.min() >= 1
    assert kind.max() <= kinds
    return int(score[0].min()), bool(score[1].max() < 128)


NETS = ((1, 1, False), (4, 1, True), (4, 8, False), (10, 8, True), (4, 8, True))
"""Kinds, views, whether it overflows early."""

OLD_ONES = NETS[1:4]
"""Each net is tried once in `make test`, as it is exported now or as it was before; the other way is slow."""


@pytest.mark.parametrize(
    ("kinds", "flips", "early", "exported_before"),
    [
        pytest.param(*net, before, marks=() if before == (net in OLD_ONES) else pytest.mark.slow)
        for net in NETS
        for before in (False, True)
    ],
)
def test_an_overflow_is_score_255_in_every_backend(
    kinds: int,
    flips: int,
    early: bool,
    exported_before: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    """torch, ONNX Runtime, OpenVINO in fp32 and bf16, the GPU's graph in both; kinds stay 1..K."""
    net, path = Overflowing(kinds, early=early), tmp_path / "model.onnx"
    if exported_before:
        without_guards(path, monkeypatch, lambda: exported(net, path, flips))
        assert found(run_onnx(path), kinds)[0] < 255
    else:
        with torch.inference_mode():
            kind, score = exported(net, path, flips)(torch.from_numpy(FRAMES))
        assert found((kind.numpy(), score.numpy()), kinds) == (255, True)
        assert found(run_onnx(path), kinds) == (255, True)
    for precision in ("fp32", "bf16"):
        assert found(openvino_engine(path, tmp_path / precision, precision), kinds) == (255, True), precision
    write_gpu_onnx(path, tmp_path / "gpu.onnx", "fp32")
    assert found(run_onnx(tmp_path / "gpu.onnx"), kinds) == (255, True)
    if flips == 1:
        with torch.inference_mode():
            kind, score = OnnxModule(onnx.load(tmp_path / "gpu.onnx"))(torch.from_numpy(FRAMES))
        assert found((kind.numpy(), score.numpy()), kinds) == (255, True)


def test_a_watched_graph_finds_what_a_relu_has_lost(tmp_path: Path, one_thread: None) -> None:
    """As for TensorRT. OpenVINO's own ReLU gives 0 for NaN: without the watch the frame is sound steel."""
    exported(Overflowing(4, early=True), tmp_path / "model.onnx")
    scores = {}
    for watched in (False, True):
        path = tmp_path / f"watched_{watched}.onnx"
        write_gpu_onnx(tmp_path / "model.onnx", path, "fp32", watched=watched)
        model = ov.Core().read_model(path)
        model.reshape({"frames": [1, *SIZE]})
        scores[watched] = found(run_openvino(model, "f32"), 4)
    assert scores[False][0] < 128
    assert scores[True] == (255, True)


def test_an_overflow_of_fp16_is_found_though_fp32_holds_it(tmp_path: Path, one_thread: None) -> None:
    """1,000,000 is infinite in fp16, and then NaN. ONNX's reference computes in fp16; ONNX Runtime, on a CPU,
    in fp32."""
    net = Overflowing(4, early=True, gain=4.0)
    nn.init.zeros_(net.head.weight)
    exported(net, tmp_path / "model.onnx")
    assert found(run_onnx(tmp_path / "model.onnx"), 4)[0] < 128
    write_gpu_onnx(tmp_path / "model.onnx", tmp_path / "fp16.onnx", "fp16", watched=True)
    reference = onnx.reference.ReferenceEvaluator(str(tmp_path / "fp16.onnx"))
    with np.errstate(all="ignore"):
        kind, score = reference.run(["kind", "score"], {"frames": FRAMES})
    assert found((kind, score), 4) == (255, True)  # type: ignore[arg-type]


def test_guards_are_put_in_once(tmp_path: Path, one_thread: None) -> None:
    """A graph that has them from its export stays as it is; a watch before a softmax is not another end."""
    exported(Overflowing(4, early=False), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    before = model.SerializeToString()
    guard_ends(model)
    assert model.SerializeToString() == before
    watch_activations(model)
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "ReduceMean" for node in model.graph.node) > 3


def test_the_model_that_comes_with_the_project_answers_as_before(tmp_path: Path) -> None:
    """Exported without guards; with them its maps of its golden frames are the same, byte for byte."""
    folder = Path(__file__).parents[3] / "configs" / "demo" / "model"
    frames = np.load(folder / "golden.npz")["frames"]
    write_gpu_onnx(folder / "model.onnx", tmp_path / "gpu.onnx", "fp32", watched=True)
    answers = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"frames": frames})
        for path in (folder / "model.onnx", tmp_path / "gpu.onnx")
    ]
    for before, after in zip(*answers, strict=True):
        assert np.array_equal(before, after)


def test_a_relu_makes_no_denormal_numbers() -> None:
    """A CPU is many times slower on them: a small activation times the slope stays a normal fp32 number."""
    assert np.exp(LOG_OF_SLOPE) * 1e-4 > np.finfo(np.float32).tiny
