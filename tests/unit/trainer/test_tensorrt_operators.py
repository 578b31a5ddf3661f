"""Every node of every model we export is one TensorRT has, with the types it has it for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, shape_inference

from trainer.build.gpu_onnx import write_gpu_onnx
from trainer.build.quantise import quantise
from trainer.export.onnx_file import write_onnx
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet, fold_batch_norms

OPERATORS: dict[str, list[str]] = json.loads((Path(__file__).parent / "tensorrt_operators.json").read_text())[
    "operators"
]

FLOATS = {"FLOAT", "FLOAT16"}
DATA = {"Where": (1, 2), "Shape": (), "ConstantOfShape": ()}
"""Inputs that carry data; of other operators the first."""

MUST_BE_CONSTANT = {"Pad": 3, "ReduceMax": 1, "Slice": 3, "Squeeze": 1, "Unsqueeze": 1, "Split": 1}
"""Operator → its input that TensorRT wants to know when it builds (axes; sizes)."""

MODELS: dict[str, tuple[dict[str, Any], int, tuple[int, int], int]] = {
    "paper": (PRESETS["paper"], 5, (64, 160), 1),
    "balanced, maps at 1/2": (PRESETS["balanced"], 5, (64, 160), 2),
    "balanced, maps at 1/1": (PRESETS["balanced"], 5, (64, 160), 1),
    "fast, maps at 1/4": (PRESETS["fast"], 5, (64, 160), 4),
    "fast, maps at 1/2": (PRESETS["fast"], 5, (64, 160), 2),
    "fast, maps at 1/1": (PRESETS["fast"], 5, (64, 160), 1),
    "cnn": (PRESETS["cnn"], 2, (64, 160), 4),
    "pretrained": (PRESETS["pretrained"], 5, (64, 160), 4),
    "sub-pixel head": (PRESETS["fast"] | {"sub_pixel": True}, 5, (64, 160), 1),
    "frame that is padded": (PRESETS["fast"], 5, (50, 101), 1),
    "sub-pixel head, frame that is padded": (PRESETS["fast"] | {"sub_pixel": True}, 5, (50, 101), 1),
    "residual": (PRESETS["fast"] | {"residual": True}, 5, (64, 160), 4),
    "instance norm": (PRESETS["fast"] | {"norm": "instance"}, 5, (64, 160), 4),
    "group norm": (PRESETS["fast"] | {"norm": "group"}, 5, (64, 160), 4),
    "one kind": (PRESETS["fast"], 2, (64, 160), 4),
    "twelve kinds": (PRESETS["fast"], 13, (64, 160), 4),
}
"""Name → architecture, classes, frame size, map stride. Operators and types depend on neither size nor widths."""

NARROWER = 4
"""What the widths are divided by: `paper` is 120 MB otherwise."""


def export(name: str, path: Path) -> Path:
    """The model as `trainer export` writes it, its weights random."""
    config, classes, size, stride = MODELS[name]
    torch.manual_seed(0)
    widths = {"widths": [max(8, width // NARROWER) for width in config["widths"]]} if "widths" in config else {}
    net = build_model(config | widths, classes).eval()
    fold_batch_norms(net)
    write_onnx(InspectionNet(net, *size, stride).eval(), *size, path / "model.onnx", half_weights=False)
    return path / "model.onnx"


IN_SECONDS = {"paper", "balanced, maps at 1/2", "fast, maps at 1/4", "cnn", "pretrained", "frame that is padded"}
"""One of each architecture and kind of frame; the others are variations of them."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in IN_SECONDS else pytest.mark.slow) for name in MODELS]
)
def test_exports_are_what_tensorrt_takes(name: str, tmp_path: Path, one_thread: None) -> None:
    """In fp32 and fp16."""
    exported = export(name, tmp_path)
    for precision in ("fp32", "fp16"):
        target = tmp_path / f"{precision}.onnx"
        write_gpu_onnx(exported, target, precision)
        model = onnx.load(target)
        assert complaints(model) == []
        assert convolution_types(model) == {"FLOAT" if precision == "fp32" else "FLOAT16"}


@pytest.mark.parametrize(
    "name",
    [
        "fast, maps at 1/4",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("paper", "balanced, maps at 1/2", "sub-pixel head")
        ),
    ],
)
def test_quantised_exports_are_what_tensorrt_takes(name: str, tmp_path: Path, one_thread: None) -> None:
    """Explicit Q/DQ pairs with fp16 around them."""
    exported = export(name, tmp_path)
    _, _, size, _ = MODELS[name]
    frames = np.random.default_rng(0).integers(0, 256, (4, *size), dtype=np.uint8)
    quantise(exported, tmp_path / "quantised.onnx", frames)
    write_gpu_onnx(tmp_path / "quantised.onnx", tmp_path / "int8.onnx", "int8")
    model = onnx.load(tmp_path / "int8.onnx")
    assert complaints(model) == []
    assert convolution_types(model) == {"FLOAT16"}
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) > 10


@pytest.mark.parametrize("folder", ["configs/demo/model", "tests/benchmarks/severstal/model"])
def test_the_models_that_come_with_the_project_are_what_tensorrt_takes(folder: str, tmp_path: Path) -> None:
    """Stored with fp16 weights and a Cast back."""
    write_gpu_onnx(Path(__file__).parents[3] / folder / "model.onnx", tmp_path / "gpu.onnx", "fp16")
    assert complaints(onnx.load(tmp_path / "gpu.onnx")) == []


def test_what_tensorrt_does_not_take_is_found(tmp_path: Path, one_thread: None) -> None:
    """The judge itself: the export as OpenVINO gets it casts after it unsqueezes, which TensorRT refuses."""
    exported = onnx.load(export("fast, maps at 1/4", tmp_path))
    assert any("uint8" in line for line in complaints(exported))
    exported.graph.node.append(helper.make_node("NonZero", ["frames"], ["places"]))
    exported.graph.node.append(helper.make_node("Unique", ["places"], ["distinct"]))
    assert any("Unique: TensorRT has none" in line for line in complaints(exported))


def convolution_types(model: onnx.ModelProto) -> set[str]:
    types = types_of(model)
    return {types[node.output[0]] for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")}


def complaints(model: onnx.ModelProto) -> list[str]:
    """What TensorRT would not take."""
    types, constants = types_of(model), {tensor.name: tensor for tensor in model.graph.initializer}
    return [line for node in model.graph.node for line in complaints_about(node, types, constants)]


def complaints_about(
    node: onnx.NodeProto, types: dict[str, str], constants: dict[str, onnx.TensorProto]
) -> Iterator[str]:
    supported = OPERATORS.get(node.op_type)
    if supported is None:
        yield f"{node.op_type}: TensorRT has none"
        return
    for index in DATA.get(node.op_type, (0,)):
        if types[node.input[index]] not in supported:
            yield f"{node.op_type} of {types[node.input[index]]}: only of {supported}"
    yield from uint8_complaints(node, types)
    fixed = MUST_BE_CONSTANT.get(node.op_type)
    if fixed is not None and len(node.input) > fixed and node.input[fixed] not in {"", *constants}:
        yield f"{node.op_type}: its input {fixed} must be constant"
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        zero = numpy_helper.to_array(constants[node.input[2]])
        if zero.dtype != np.int8 or zero.any():
            yield f"{node.op_type}: its zero point must be int8 and 0"
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Resize" and attributes["mode"] not in (b"linear", b"nearest"):
        yield f"Resize {attributes['mode']}"
    if node.op_type == "MaxPool" and set(attributes.get("dilations", [1])) != {1}:
        yield "MaxPool with dilations"


def uint8_complaints(node: onnx.NodeProto, types: dict[str, str]) -> Iterator[str]:
    """uint8 is a type of the network's ends: between them and a Cast from or to float, nowhere else."""
    ends = [name for name in (*node.input, *node.output) if types.get(name) == "UINT8"]
    others = {types[name] for name in (*node.input, *node.output) if name and types.get(name) != "UINT8"}
    if ends and (node.op_type != "Cast" or not others <= FLOATS):
        yield f"{node.op_type} of uint8 and {others or 'nothing else'}"
    if any(name not in ("frames", "kind", "score", "frame") for name in ends):
        yield f"uint8 inside the network: {ends}"


def types_of(model: onnx.ModelProto) -> dict[str, str]:
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return {name: TensorProto.DataType.Name(number) for name, number in types.items()}
