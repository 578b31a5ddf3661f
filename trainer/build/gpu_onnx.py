"""Rewrites an ONNX model for GPUs: uint8 only at its ends, fp16 from the first convolution to the last.

What follows the last convolution (softmax, comparisons, rounding) stays fp32: it costs little, and its rounding
would move scores. An int8 model keeps its Q/DQ pairs, with fp16 instead of fp32 around them.
"""

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from inspector.errors import WorkError
from trainer.build.onnx_overflow import guard_ends, watch_activations
from trainer.artifacts.onnx_weights import restore_weights

HALF_PRECISIONS: Final = ("fp16", "int8")

_CONVOLUTIONS: Final = ("Conv", "ConvTranspose")
_ONLY_SHAPE: Final = ("Unsqueeze", "Squeeze", "Reshape")
_FLOATS: Final = (TensorProto.FLOAT, TensorProto.FLOAT16)
_ALWAYS_FLOAT: Final = {"Resize": (1, 2)}
"""Inputs that ONNX requires in fp32 for any type of data: regions and scales."""

_HALF_SCALES_OPSET: Final = 19
"""First opset with fp16 scales in QuantizeLinear and DequantizeLinear. TensorRT reads opsets up to 20 since 10.0."""


def write_gpu_onnx(source: Path, target: Path, precision: str, *, watched: bool = False) -> None:
    """Write `source`, rewritten for GPUs, to `target`; raises WorkError for a model that cannot be rewritten.

    `watched` is for a library that may lose a NaN on its way to the logits; see trainer.build.onnx_overflow.
    """
    try:
        model = onnx.load(source)
        restore_weights(model)
        _grey_first(model)
        _uint8_from_float(model)
        guard_ends(model)
        if watched:
            watch_activations(model)
        if precision in HALF_PRECISIONS:
            _halve(model)
            _check_scales(model)
        onnx.checker.check_model(model, full_check=True)
    except (ValueError, KeyError, onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WorkError(
            f"{source}: cannot be made {precision} ({reason}): build it with --precision fp32"
        ) from None
    onnx.save(model, target)


def _grey_first(model: onnx.ModelProto) -> None:
    """Cast the frames before anything else touches them: TensorRT has no other operator for uint8."""
    frames, grey = model.graph.input[0].name, "frames_grey"
    replaced = {frames: grey}
    nodes = [helper.make_node("Cast", [frames], [grey], name="cast_frames", to=TensorProto.FLOAT)]
    still_grey = {grey}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = replaced.get(name, name)
        if node.op_type == "Cast" and node.input[0] in still_grey:
            replaced[node.output[0]] = node.input[0]
            continue
        if node.op_type in _ONLY_SHAPE and node.input[0] in still_grey:
            still_grey.add(node.output[0])
        nodes.append(node)
    _set_nodes(model, nodes)


def _uint8_from_float(model: onnx.ModelProto) -> None:
    """Insert a Cast to float before a Cast from whole numbers to uint8, which TensorRT lacks."""
    types = _types(model)
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Cast" and _attribute(node, "to") == TensorProto.UINT8:
            source = node.input[0]
            if types.get(source) not in _FLOATS:
                nodes.append(helper.make_node("Cast", [source], [f"{source}.float"], to=TensorProto.FLOAT))
                node.input[0] = f"{source}.float"
        nodes.append(node)
    _set_nodes(model, nodes)


def _halve(model: onnx.ModelProto) -> None:
    """Convert everything up to the last convolution to fp16, in place."""
    types = _types(model)
    nodes = list(model.graph.node)
    last = max((at for at, node in enumerate(nodes) if node.op_type in _CONVOLUTIONS), default=-1)
    if last < 0:
        raise ValueError("it has no convolution")
    body, tail = nodes[: last + 1], nodes[last + 1 :]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in body:
        _halve_node(node, model, weights)
    made = {name for node in body for name in node.output if types.get(name) == TensorProto.FLOAT}
    casts: dict[str, onnx.NodeProto] = {}
    for node in tail:
        for index, name in enumerate(node.input):
            if name in made:
                casts.setdefault(name, helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT))
                node.input[index] = f"{name}.float"
    _set_nodes(model, [*body, *casts.values(), *tail])
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = max(opset.version, _HALF_SCALES_OPSET)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _halve_node(node: onnx.NodeProto, model: onnx.ModelProto, weights: dict[str, onnx.TensorProto]) -> None:
    for index, name in enumerate(node.input):
        tensor = weights.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            continue
        if index in _ALWAYS_FLOAT.get(node.op_type, ()):
            continue
        half = f"{name}.half"
        if half not in weights:
            weights[half] = _halved(tensor, half)
            model.graph.initializer.append(weights[half])
        node.input[index] = half
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_halved(attribute.t, attribute.t.name))


def _check_scales(model: onnx.ModelProto) -> None:
    """Refuse a quantisation scale that is 0 or infinite in fp16; raises ValueError."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = constants.get(node.input[1])
        if scale is None:
            raise ValueError(f"{node.op_type} {node.name}: its scale {node.input[1]} is not constant")
        values = numpy_helper.to_array(scale)
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(f"{node.op_type} {node.name}: its scale {scale.name} becomes 0 or infinite in fp16")


def _halved(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    with np.errstate(over="ignore"):
        values = numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(values).all():
        raise ValueError(f"{tensor.name} holds values beyond fp16's 65504")
    return numpy_helper.from_array(values, name)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every value."""
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _set_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Replace the graph's nodes and drop the types inferred for the old ones."""
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]


def _attribute(node: onnx.NodeProto, name: str) -> int | None:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), None)
