"""Adds the guards of trainer.models.overflow to an ONNX graph: at its ends, and for fp16 behind its convolutions."""

from collections import defaultdict
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from inspector.values import MAX_SCORE
from trainer.models.overflow import FINITE, OVERFLOWN, UNSOUND

_CONVOLUTIONS: Final = ("Conv", "ConvTranspose")
_CHANNELS: Final = 1


def guard_ends(model: onnx.ModelProto) -> None:
    """Turn logits that are not finite, and scores that are NaN, into score 255, in place.

    A graph whose score ends in Where already has this guard from its export and stays unchanged.
    """
    graph = _Graph(model)
    cast = graph.made_by.get("score")
    if cast is None or cast.op_type != "Cast":
        raise ValueError("its output score is not made by a Cast")
    last = graph.made_by.get(cast.input[0])
    if last is not None and last.op_type == "Where":
        return
    for softmax in [node for node in graph.nodes if node.op_type == "Softmax"]:
        sound = graph.finite(softmax.input[0], [graph.axis(softmax)], softmax.name)
        unsound = graph.number("unsound", UNSOUND)
        graph.reroute(softmax, "Where", [sound, softmax.output[0], unsound])
        graph.place(softmax, behind=True)
    score, most = cast.input[0], graph.number("most_score", MAX_SCORE)
    inside = graph.add("LessOrEqual", [graph.add("Abs", [score], "score_size"), most], "score_is_number")
    limited = graph.add("Where", [inside, score, most], "score_or_most")
    graph.place(cast, behind=False)
    cast.input[0] = limited
    graph.write()


def watch_activations(model: onnx.ModelProto) -> None:
    """Make the logits of a frame infinite if any of its convolutions overflows, in place.

    For fp16, whose largest value is 65504, and for libraries whose ReLU and pooling may lose a NaN. The mean of a
    convolution's output is finite only if every value is. It is taken behind the ReLU, whose output the next layer
    reads: for a value below −65504 the ReLU's 0 is right. Int8 convolutions cannot overflow and are skipped.
    """
    graph = _Graph(model)
    softmaxes = [node for node in graph.nodes if node.op_type == "Softmax"]
    sums = []
    for node in graph.nodes:
        if node.op_type not in _CONVOLUTIONS:
            continue
        given = node.output[0]
        readers = graph.readers[given]
        if len(readers) == 1 and readers[0].op_type == "Relu":
            given = readers[0].output[0]
        if any(reader.op_type == "QuantizeLinear" for reader in graph.readers[given]):
            continue
        axes = graph.numbers("all_but_frames", [1, 2, 3])
        sums.append(graph.add("ReduceMean", [given, axes], f"{given}_mean", keepdims=1))
    if not sums or not softmaxes:
        return
    total = graph.add("Sum", sums, "activations") if len(sums) > 1 else sums[0]
    size = graph.add("Abs", [total], "activations_size")
    finite = graph.add("Less", [size, graph.number("finite", FINITE)], "activations_are_finite")
    overflown = graph.number("overflown", OVERFLOWN)
    for softmax in softmaxes:
        logits = graph.made_by[softmax.input[0]]
        graph.reroute(logits, "Where", [finite, logits.output[0], overflown])
        graph.place(logits, behind=True)
    graph.write()


class _Graph:
    """Adds nodes to a model. `place` inserts them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._added: list[onnx.NodeProto] = []
        self._known = {tensor.name for tensor in model.graph.initializer}
        self.nodes = list(model.graph.node)
        self.made_by = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)

    def axis(self, softmax: onnx.NodeProto) -> int:
        """Return the axis of the classes; raises ValueError if it is not the channels."""
        found = {each.name: helper.get_attribute_value(each) for each in softmax.attribute}.get("axis", -1)
        if found != _CHANNELS:
            raise ValueError(f"{softmax.name}: its softmax goes over axis {found}, not over the channels")
        return _CHANNELS

    def finite(self, values: str, axes: list[int], name: str) -> str:
        """Add a check that all values along the axes are finite: otherwise their mean is not finite."""
        mean = self.add("ReduceMean", [values, self.numbers("channels", axes)], f"{name}_mean", keepdims=1)
        size = self.add("Abs", [mean], f"{name}_size")
        return self.add("Less", [size, self.number("finite", FINITE)], f"{name}_is_finite")

    def number(self, name: str, value: float) -> str:
        return self._constant(f"guard_{name}", np.array(value, np.float32))

    def numbers(self, name: str, values: list[int]) -> str:
        return self._constant(f"guard_{name}", np.array(values, np.int64))

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        output = f"guard_{name}"
        self._added.append(helper.make_node(operator, inputs, [output], name=f"make_{output}", **attributes))
        return output

    def reroute(self, node: onnx.NodeProto, operator: str, inputs: list[str]) -> None:
        """Add a node and connect all readers of `node`'s output to it."""
        old = node.output[0]
        new = self.add(operator, inputs, f"{node.name}_sound")
        for reader in self.readers[old]:
            for index, name in enumerate(reader.input):
                if name == old:
                    reader.input[index] = new

    def place(self, node: onnx.NodeProto, *, behind: bool) -> None:
        """Insert the nodes added since the last call before or behind a node of the model."""
        at = next(place for place, each in enumerate(self.nodes) if each is node) + behind
        self.nodes[at:at] = self._added
        self._added = []

    def write(self) -> None:
        """Write the nodes to the model. Do this last: protobuf copies them, so later changes would be lost."""
        del self._model.graph.node[:]
        self._model.graph.node.extend(self.nodes)
        del self._model.graph.value_info[:]

    def _constant(self, name: str, values: np.ndarray) -> str:
        if name not in self._known:
            self._model.graph.initializer.append(numpy_helper.from_array(values, name))
            self._known.add(name)
        return name
