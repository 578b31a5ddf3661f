"""Builds a torch engine: an exported program, for GPU PCs without TensorRT and as a reference."""

import tempfile
import warnings
from pathlib import Path

from inspector.backends.cuda import open_cuda
from inspector.backends.torch_program import DEVICE, PROGRAM_NAME
from inspector.errors import InputError, WorkError
from trainer.build.request import BuildRequest, Built
from trainer.artifacts.extras import needs_train_extra
from trainer.artifacts.versions import library_versions

EXAMPLE_FRAMES = 2
"""Batch size of the example: the exporter would treat a batch of one as a constant."""


def build_torch(request: BuildRequest) -> Built:
    """Write the exported program; raises WorkError for a graph that torch cannot convert.

    It is written on the CPU and independent of the GPU, which is chosen when the engine is opened.
    """
    device = request.gpu.device
    versions = library_versions("torch")
    if device == "cuda":
        cuda = open_cuda(request.folder)
        versions |= cuda.gpu().versions()
        cuda.close()
    elif request.precision != "fp32":
        raise InputError(f"--precision {request.precision}: torch on a CPU is built as fp32")
    with (
        needs_train_extra("build-engine --backend torch", "torch"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        from trainer.build.gpu_onnx import write_gpu_onnx

        onnx_path = Path(scratch) / "model.onnx"
        write_gpu_onnx(request.onnx, onnx_path, request.precision)
        _export(onnx_path, request)
    return Built(request.gpu.max_batch, {DEVICE: device}, versions)


def _export(onnx_path: Path, request: BuildRequest) -> None:
    import onnx
    import torch

    from trainer.build.onnx_torch import OnnxModule

    example = torch.zeros((EXAMPLE_FRAMES, request.height, request.width), dtype=torch.uint8)
    count = torch.export.Dim("N", min=1, max=max(request.gpu.max_batch, EXAMPLE_FRAMES))
    module = OnnxModule(onnx.load(onnx_path)).eval()
    try:
        with warnings.catch_warnings():
            # deprecations inside torch's own exporter
            warnings.simplefilter("ignore")
            program = torch.export.export(module, (example,), dynamic_shapes={"frames": {0: count}})
            torch.export.save(program, request.folder / PROGRAM_NAME)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WorkError(f"{request.onnx}: torch cannot export it: {reason}") from None
