"""Writes the engine contract's graph as an ONNX file."""

import logging
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from trainer.export.onnx_kind import compare_for_kind
from trainer.models.contract import InspectionNet

OPSET: Final = 18
"""Read by OpenVINO since 2023 and TensorRT since 8.6; nothing newer is needed."""

_EXAMPLE_FRAMES: Final = 2
"""Batch size of the example: the exporter would treat a batch of one as a constant."""


def write_onnx(net: InspectionNet, height: int, width: int, path: Path, *, half_weights: bool) -> None:
    """Write `net`: input `frames` uint8 [N, H, W], N free; outputs `kind`, `score` and, if it has it, `frame`."""
    example = torch.zeros((_EXAMPLE_FRAMES, height, width), dtype=torch.uint8)
    count = torch.export.Dim("N", min=1)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)  # it mentions torchvision, which nothing here uses
    try:
        with warnings.catch_warnings():
            # deprecations inside torch's own exporter
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                input_names=["frames"],
                output_names=["kind", "score", *(["frame"] if net.net.scores_frames else [])],
                dynamic_shapes={"frames": {0: count}},
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _strip_traces(model)
    compare_for_kind(model)
    if half_weights:
        _halve_weights(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _strip_traces(model: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they contain paths of this PC and change with every edit."""
    for message in (model, model.graph, *model.graph.node, *model.graph.value_info):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large fp32 weights as fp16 with a Cast back; backends fold the Cast when they load."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name, half = tensor.name, f"{tensor.name}.half"
        # A value beyond fp16 becomes infinite, and the parity check then refuses the model.
        with np.errstate(over="ignore"):
            weights = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(weights, half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
