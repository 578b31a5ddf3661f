"""Builds OpenVINO IR from ONNX, without any training library."""

from typing import Final

from inspector.backends.openvino import MODEL_NAME
from inspector.errors import WorkError
from trainer.build.openvino_overflow import guard
from trainer.build.request import BuildRequest, Built

MAX_BATCH: Final = 1
"""Batching buys nothing on a CPU, where several requests run side by side instead."""


def build_openvino(request: BuildRequest) -> Built:
    """Write model.xml and model.bin; raises WorkError when OpenVINO cannot read the ONNX file.

    The precision of the arithmetic is chosen when the engine is opened. fp32 keeps its weights; bf16 stores them as
    fp16, at half the size and with every bit that bf16 uses. An int8 graph contains its quantisation, and its float
    weights are small.
    """
    import openvino as ov

    try:
        graph = ov.Core().read_model(request.onnx)
        guard(graph, keep_nan=request.precision != "int8")
        # A fixed shape lets the compiler plan memory and fold every shape computation.
        graph.reshape({"frames": [MAX_BATCH, request.height, request.width]})
        ov.save_model(graph, request.folder / MODEL_NAME, compress_to_fp16=request.precision == "bf16")
    except RuntimeError as error:
        raise WorkError(
            f"OpenVINO {ov.__version__} cannot read {request.onnx}: {str(error).strip().splitlines()[-1]}"
        ) from None
    return Built(MAX_BATCH)
