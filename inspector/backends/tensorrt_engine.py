"""A deserialised TensorRT engine, bound to fixed buffers: one execution context a captured graph."""

import ctypes
from pathlib import Path

import tensorrt as trt

from inspector.backends.cuda import Cuda
from inspector.backends.cuda_backend import DeviceBuffers, Enqueue
from inspector.backends.tensorrt_messages import TensorRtErrors, TensorRtLog
from inspector.engine.manifest import EngineFolder, Manifest
from inspector.errors import DeviceError, EngineError

PROFILE = 0
"""There is one optimisation profile, from one frame to the largest batch; contexts may share it since 10.0."""


class TensorRtNetwork:
    """The engine; everything of it lives as long as this object, in the order TensorRT asks for.

    Raises EngineError for a plan that is not this folder's engine.
    """

    graphs_itself = False

    def __init__(self, folder: EngineFolder, plan: Path, cuda: Cuda, lean_library: Path | None = None) -> None:
        self._manifest = folder.manifest
        self._errors = TensorRtErrors()
        self._log = TensorRtLog()
        runtime = self._own_runtime = self._started(plan)
        # A plan may carry host code for this process to run; ours never does, and no other is taken.
        runtime.engine_host_code_allowed = False
        runtime.error_recorder = self._errors
        if lean_library is not None:
            runtime = self._loaded(lean_library, plan)
        self._runtime = runtime
        engine = runtime.deserialize_cuda_engine(folder.read(plan.name))
        if engine is None:
            raise EngineError(
                f"{plan}: TensorRT {trt.__version__} cannot open it ({self._errors.told()}): build the engine "
                "again on this PC"
            )
        self._engine = engine
        self._engine.error_recorder = self._errors
        _check_tensors(engine, self._manifest, plan)
        # Scratch memory of all contexts: they never compute at once, being enqueued on one stream.
        self._scratch_bytes = max(1, engine.get_device_memory_size_for_profile_v2(PROFILE))
        self._scratch = cuda.memory(self._scratch_bytes)
        self._contexts: list[trt.IExecutionContext] = []

    def _started(self, plan: Path) -> trt.Runtime:
        """Where the library makes no runtime, its bindings raise TypeError, or hand out an object whose next call
        ends the process: then only the log tells."""
        told, runtime = None, None
        try:
            runtime = trt.Runtime(self._log)
        except TypeError as error:
            told = str(error)
        told = self._log.first_error or told
        if runtime is None or told is not None:
            # Never freed: that, too, would end the process.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
            raise EngineError(
                f"{plan}: TensorRT {trt.__version__} does not start ({told}): `nvidia-smi` must show a driver for "
                "CUDA 13 and free memory"
            )
        return runtime

    def _loaded(self, lean_library: Path, plan: Path) -> trt.Runtime:
        runtime = self._own_runtime.load_runtime(str(lean_library))
        if runtime is None:
            raise EngineError(f"{plan}: TensorRT cannot load {lean_library}: {self._errors.told()}")
        runtime.engine_host_code_allowed = False
        runtime.error_recorder = self._errors
        return runtime

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:  # noqa: ARG002 (of the seam)
        """A context with this batch size and these addresses for good: a captured graph holds on to both."""
        context = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise DeviceError(f"no execution context: {self._errors.told()}")
        context.set_device_memory(self._scratch, self._scratch_bytes)
        shape = (frames, self._manifest.height, self._manifest.width)
        taken = context.set_input_shape("frames", shape)
        for name in ("frames", "kind", "score"):
            taken = taken and context.set_tensor_address(name, getattr(buffers, name))
        missing = context.infer_shapes() if taken else ["frames"]
        if missing:
            raise DeviceError(f"batch of {frames} not taken ({', '.join(missing)}): {self._errors.told()}")
        self._contexts.append(context)

        def enqueue(stream: int) -> None:
            if not context.execute_async_v3(stream):
                raise DeviceError(f"inference not enqueued: {self._errors.told()}")

        return enqueue

    def close(self) -> None:
        """The contexts go first: TensorRT wants them gone before their engine."""
        self._contexts.clear()


def _check_tensors(engine: trt.ICudaEngine, manifest: Manifest, plan: Path) -> None:
    """The plan must keep the engine contract: names, types, shapes and batch range."""
    maps = (manifest.map_height, manifest.map_width)
    wanted = {"frames": (manifest.height, manifest.width), "kind": maps, "score": maps}
    names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
    wrong = "" if names == set(wanted) else f"its tensors are {', '.join(sorted(names))}"
    for name, size in () if wrong else wanted.items():
        shape, found = engine.get_tensor_shape(name)[:], engine.get_tensor_dtype(name)
        if found != trt.DataType.UINT8 or shape[1:] != size:
            wrong = f"{name} is {found.name} {shape}, not UINT8 {(-1, *size)}"
            break
    if not wrong:
        least, _, most = (shape[0] for shape in engine.get_tensor_profile_shape("frames", PROFILE))
        if least > manifest.min_batch or most < manifest.max_batch:
            wrong = f"it takes {least} to {most} frames, not {manifest.min_batch} to {manifest.max_batch}"
    if wrong:
        raise EngineError(f"{plan}: not the engine of its manifest ({wrong}): build the engine again")
