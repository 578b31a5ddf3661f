"""Runs a model's ONNX graph as a torch module, node by node, so that what runs is what was verified.

Vectors of whole numbers (shapes, axes, sizes) are Python lists: torch requires it, and the batch size stays free.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from inspector.errors import WorkError

Inputs = list[Any]
"""Tensors and lists; None for an omitted input."""
Attributes = dict[str, Any]

_DTYPES: Final = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


class OnnxModule(nn.Module):
    """Maps frames to (kind, score), and frame if the graph has it; raises WorkError for an unsupported operator."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self._outputs = [output.name for output in graph.output]
        self._nodes: list[tuple[Callable[[Inputs, Attributes], Any], list[str], list[str], Attributes]] = []
        self._vectors: dict[str, Any] = {}
        self._tensors: dict[str, str] = {}
        factors = {node.input[2] for node in graph.node if node.op_type == "Resize" and len(node.input) > 2}
        for place, tensor in enumerate(graph.initializer):
            self._keep(place, tensor, listed=tensor.name in factors)
        for node in graph.node:
            operator = _OPERATORS.get(node.op_type)
            if operator is None:
                raise WorkError(
                    f"the torch backend has no {node.op_type}: build it with --backend tensorrt or openvino"
                )
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            self._nodes.append((operator, list(node.input), list(node.output), attributes))

    def _keep(self, place: int, tensor: onnx.TensorProto, *, listed: bool) -> None:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int64 or listed:
            self._vectors[tensor.name] = values.tolist()
            return
        name = f"weight_{place}"
        self.register_buffer(name, torch.from_numpy(values.copy()))
        self._tensors[tensor.name] = name

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Run all nodes in order."""
        values: dict[str, Any] = {"": None, "frames": frames, **self._vectors}
        values |= {name: getattr(self, kept) for name, kept in self._tensors.items()}
        for operator, inputs, outputs, attributes in self._nodes:
            result = operator([values[name] for name in inputs], attributes)
            if len(outputs) == 1:
                values[outputs[0]] = result
            else:
                values |= dict(zip(outputs, result, strict=True))
        return tuple(values[name] for name in self._outputs)


def _cast(x: Inputs, a: Attributes) -> Any:
    return x[0].to(_DTYPES[a["to"]])


def _conv(x: Inputs, a: Attributes) -> Any:
    data, weight, bias = (*x, None)[:3]
    _only(a, auto_pad=(None, b"NOTSET"))
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        data, pads = functional.pad(data, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    steps, holes = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    return functional.conv2d(data, weight, bias, steps, pads[:2], holes, a.get("group", 1))


def _conv_transpose(x: Inputs, a: Attributes) -> Any:
    data, weight, bias = (*x, None)[:3]
    pads = a.get("pads", [0, 0, 0, 0])
    _only(a, auto_pad=(None, b"NOTSET"), output_padding=(None, [0, 0]), dilations=(None, [1, 1]))
    return functional.conv_transpose2d(
        data, weight, bias, a.get("strides", [1, 1]), pads[:2], 0, a.get("group", 1)
    )


def _max_pool(x: Inputs, a: Attributes) -> Any:
    _only(a, auto_pad=(None, b"NOTSET"), pads=(None, [0, 0, 0, 0]), dilations=(None, [1, 1]))
    return functional.max_pool2d(x[0], a["kernel_shape"], a["strides"], ceil_mode=bool(a.get("ceil_mode", 0)))


def _average_pool(x: Inputs, a: Attributes) -> Any:
    _only(a, auto_pad=(None, b"NOTSET"), pads=(None, [0, 0, 0, 0]), ceil_mode=(None, 0), dilations=(None, [1, 1]))
    return functional.avg_pool2d(x[0], a["kernel_shape"], a["strides"])


def _instance_norm(x: Inputs, a: Attributes) -> Any:
    return functional.instance_norm(x[0], weight=x[1], bias=x[2], eps=a.get("epsilon", 1e-5))


def _pad(x: Inputs, a: Attributes) -> Any:
    pads, axes = x[1], x[3] if len(x) > 3 and x[3] is not None else list(range(len(x[1]) // 2))
    widths = dict(zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    last = [widths.get(axis, (0, 0)) for axis in (3, 2)]
    if any(widths.get(axis, (0, 0)) != (0, 0) for axis in (0, 1)):
        raise WorkError("the torch backend pads rows and columns only")
    mode = a.get("mode", b"constant").decode()
    mode = {"edge": "replicate"}.get(mode, mode)  # ONNX's word and torch's
    return functional.pad(x[0], [width for pair in last for width in pair], mode=mode)


def _resize(x: Inputs, a: Attributes) -> Any:
    if a.get("mode") == b"nearest":
        _only(a, nearest_mode=(b"floor",), coordinate_transformation_mode=(b"asymmetric",))
        factors = [int(factor) for factor in x[2][2:]]
        return x[0].repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)
    _only(a, mode=(b"linear",), antialias=(None, 0))
    _only(a, coordinate_transformation_mode=(b"half_pixel", b"pytorch_half_pixel"))
    return functional.interpolate(x[0], size=tuple(x[3][2:]), mode="bilinear", align_corners=False)


def _slice(x: Inputs, _: Attributes) -> Any:
    data, starts, ends = x[:3]
    axes = x[3] if len(x) > 3 and x[3] is not None else range(len(starts))
    steps = x[4] if len(x) > 4 and x[4] is not None else [1] * len(starts)
    if isinstance(data, list):
        return data[starts[0] : ends[0] : steps[0]]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step > 0:
            data = data[(*[slice(None)] * (axis % data.dim()), slice(start, end, step))]
        elif (start, step) == (-1, -1) and end <= -data.shape[axis] - 1:
            data = data.flip(axis)  # torch has no negative steps, only a flip of the whole axis
        else:
            raise WorkError(f"the torch backend takes no Slice from {start} to {end} in steps of {step}")
    return data


def _gather(x: Inputs, a: Attributes) -> Any:
    data, index = x
    if isinstance(data, list):
        return data[index] if isinstance(index, int) else [data[each] for each in index]
    if not isinstance(index, int):
        raise WorkError("the torch backend gathers one index, not several")
    return data.select(a.get("axis", 0), index)


def _concat(x: Inputs, a: Attributes) -> Any:
    return [each for part in x for each in part] if isinstance(x[0], list) else torch.cat(x, a["axis"])


def _reshape(x: Inputs, a: Attributes) -> Any:
    data, sizes = x
    if not a.get("allowzero", 0):
        sizes = [data.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return data.reshape(sizes)


def _squeeze(x: Inputs, _: Attributes) -> Any:
    return x[0].squeeze(tuple(x[1]))


def _unsqueeze(x: Inputs, _: Attributes) -> Any:
    data = x[0]
    for axis in sorted(x[1]):
        data = data.unsqueeze(axis)
    return data


def _arg_max(x: Inputs, a: Attributes) -> Any:
    _only(a, select_last_index=(None, 0))
    return x[0].argmax(a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))


def _reduce_max(x: Inputs, a: Attributes) -> Any:
    return torch.amax(x[0], tuple(x[1]), keepdim=bool(a.get("keepdims", 1)))


def _reduce_mean(x: Inputs, a: Attributes) -> Any:
    axes = x[1] if len(x) > 1 and x[1] is not None else None
    if not axes and a.get("noop_with_empty_axes", 0):
        return x[0]
    return torch.mean(x[0], tuple(axes) if axes else None, keepdim=bool(a.get("keepdims", 1)))


def _transpose(x: Inputs, a: Attributes) -> Any:
    return x[0].permute(a.get("perm") or list(range(x[0].dim()))[::-1])


def _gemm(x: Inputs, a: Attributes) -> Any:
    _only(a, alpha=(None, 1.0), beta=(None, 1.0), transA=(None, 0))
    weight = x[1] if a.get("transB", 0) else x[1].T
    return functional.linear(x[0], weight, x[2])


def _depth_to_space(x: Inputs, a: Attributes) -> Any:
    _only(a, mode=(b"CRD",))
    return functional.pixel_shuffle(x[0], a["blocksize"])


_OPERATORS: Final[dict[str, Callable[[Inputs, Attributes], Any]]] = {
    "Abs": lambda x, _: x[0].abs(),
    "Add": lambda x, _: x[0] + x[1],
    "ArgMax": _arg_max,
    "AveragePool": _average_pool,
    "Cast": _cast,
    "Clip": lambda x, _: torch.clamp(x[0], x[1], x[2]),
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "Div": lambda x, _: x[0] / x[1],
    "Expand": lambda x, _: x[0].expand([-1 if size == 1 else size for size in x[1]]),
    "Gather": _gather,
    "Gemm": _gemm,
    "Greater": lambda x, _: x[0] > x[1],
    "InstanceNormalization": _instance_norm,
    "Less": lambda x, _: x[0] < x[1],
    "LessOrEqual": lambda x, _: x[0] <= x[1],
    "Max": lambda x, _: torch.maximum(*x),
    "MaxPool": _max_pool,
    "Mul": lambda x, _: x[0] * x[1],
    "Pad": _pad,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "Relu": lambda x, _: functional.relu(x[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda x, _: torch.round(x[0]),
    "Shape": lambda x, a: list(x[0].shape)[a.get("start", 0) : a.get("end")],
    "Sigmoid": lambda x, _: torch.sigmoid(x[0]),
    "Slice": _slice,
    "Softmax": lambda x, a: torch.softmax(x[0], a.get("axis", -1)),
    "Split": lambda x, a: torch.split(x[0], x[1], a.get("axis", 0)),
    "Squeeze": _squeeze,
    "Sub": lambda x, _: x[0] - x[1],
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda x, _: torch.where(x[0], x[1], x[2]),
}
"""Every operator of exported models, for the attributes that occur."""


def _only(attributes: Attributes, **allowed: tuple[Any, ...]) -> None:
    """Refuse attributes that the functions above do not support; None stands for an omitted attribute."""
    for name, values in allowed.items():
        if attributes.get(name) not in values:
            raise WorkError(f"the torch backend takes no {name} = {attributes[name]!r}")
