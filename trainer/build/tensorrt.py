"""Builds a TensorRT engine from ONNX, on the PC and GPU that will run it."""

from typing import Any, Final

from inspector.backends.cuda import open_cuda
from inspector.backends.tensorrt import HARDWARE_COMPATIBLE, PLAN_NAME
from inspector.backends.tensorrt_versions import VERSION_COMPATIBLE, installed_version
from trainer.build.request import BuildRequest, Built
from trainer.artifacts.extras import needs_train_extra

LOG_NAME: Final = "build.log"
"""TensorRT's log of the build; kept with the engine."""

GPU_ONNX_NAME: Final = "model.gpu.onnx"
"""The model that TensorRT received; a bug report needs it."""


def build_tensorrt(request: BuildRequest) -> Built:
    """Write the plan, the model it was built from, and the build's log.

    Raises EngineError without TensorRT or a GPU, WorkError when TensorRT refuses the model.
    """
    version = installed_version(request.folder)
    cuda = open_cuda(request.folder)
    try:
        gpu = cuda.gpu()
        with needs_train_extra("build-engine --backend tensorrt", "tensorrt"):
            from trainer.build.gpu_onnx import write_gpu_onnx

            onnx_path = request.folder / GPU_ONNX_NAME
            write_gpu_onnx(request.onnx, onnx_path, request.precision, watched=True)
        from trainer.build.tensorrt_plan import build_plan

        capability = gpu.compute_capability.replace(".", "")
        cache = request.beside / f"tensorrt-{version}-sm{capability}.timing_cache"
        plan, lines = build_plan(request, onnx_path, version, cache)
    finally:
        cuda.close()
    (request.folder / PLAN_NAME).write_bytes(plan)
    (request.folder / LOG_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Built(request.gpu.max_batch, _options(request), {"tensorrt": version, **gpu.versions()})


def _options(request: BuildRequest) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if request.gpu.version_compatible:
        options[VERSION_COMPATIBLE] = True
    if request.gpu.hardware_compatible is not None:
        options[HARDWARE_COMPATIBLE] = request.gpu.hardware_compatible
    return options
