"""Restores the fp32 weights of a model file. Needs only onnx."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def restore_weights(model: onnx.ModelProto) -> None:
    """Undo `half_weights` of `write_onnx`: apply every Cast of a stored weight, in place."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT16:
            nodes.append(node)
            continue
        weights = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(weights, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
