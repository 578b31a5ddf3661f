"""Replaces the arg-max for the kind map of an exported graph by comparisons, which are faster."""

from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

MOST_KINDS: Final = 8
"""Most kinds: the chain has three operators per kind. With four kinds it makes `fast` 2 to 8 % faster in bf16 on
OpenVINO, whose CPU plug-in runs an arg-max as a sort (TopK)."""


def compare_for_kind(model: onnx.ModelProto) -> bool:
    """Replace Slice → ArgMax → Add before the output `kind` by Greater, Where and Max, in place.

    Ties go to the lower kind, as with ArgMax. Every backend has these operators. Returns False and leaves the
    model unchanged if the graph ends differently, or has one kind or more than MOST_KINDS.
    """
    nodes = list(model.graph.node)
    made_by = {name: node for node in nodes for name in node.output}
    chain = _upstream(made_by, "kind", ("Cast", "Add", "ArgMax", "Slice"))
    if chain is None:
        return False
    cast, add, argmax, cut = chain
    classes = _channels(model, cut.input[0])
    if classes is None or not 2 < classes <= MOST_KINDS + 1:
        return False
    comparisons, result = _comparisons(model, cut.input[0], classes)
    cast.input[0] = result
    start = nodes.index(cut)
    gone = [id(node) for node in (add, argmax, cut)]
    kept = [*nodes[:start], *comparisons, *nodes[start:]]
    del model.graph.node[:]
    model.graph.node.extend(node for node in kept if id(node) not in gone)
    _drop_unused(model)
    return True


def _comparisons(model: onnx.ModelProto, logits: str, classes: int) -> tuple[list[onnx.NodeProto], str]:
    """Return the nodes, and the name of their output: the kind 1..K, float [N, H, W]."""

    def constant(name: str, values: np.ndarray) -> str:
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def node(operator: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=f"make_{output}"))
        return output

    sizes = constant("kind_sizes", np.ones(classes, np.int64))
    channels = [f"logit_{index}" for index in range(classes)]
    nodes = [helper.make_node("Split", [logits, sizes], channels, name="make_logits", axis=1)]
    best = channels[1]
    kind = constant("kind_is_1", np.array(1, np.float32))
    for index in range(2, classes):
        number = constant(f"kind_is_{index}", np.array(index, np.float32))
        larger = node("Greater", [channels[index], best], f"larger_{index}")
        kind = node("Where", [larger, number, kind], f"kind_to_{index}")
        if index < classes - 1:
            best = node("Max", [channels[index], best], f"best_to_{index}")
    return nodes, node("Squeeze", [kind, constant("kind_axis", np.array([1], np.int64))], "kind_number")


def _upstream(
    made_by: dict[str, onnx.NodeProto], output: str, operators: tuple[str, ...]
) -> list[onnx.NodeProto] | None:
    """The nodes that lead to `output`, last first, where they are exactly these."""
    found = []
    for operator in operators:
        node = made_by.get(output)
        if node is None or node.op_type != operator:
            return None
        found.append(node)
        output = node.input[0]
    return found


def _channels(model: onnx.ModelProto, name: str) -> int | None:
    """Return the number of channels of a float map [N, C, H, W]; None if it is not fixed."""
    known = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    if name not in known:
        return None
    channels = known[name].type.tensor_type.shape.dim[1]
    return int(channels.dim_value) or None


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    made = {name for node in model.graph.node for name in node.output}
    known = [value for value in model.graph.value_info if value.name in made]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
