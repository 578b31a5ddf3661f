"""A deserialised TensorRT engine, bound to fixed buffers: one execution context per captured graph."""

from pathlib import Path

import tensorrt as trt

from inspector.backends.cuda import Cuda, leak
from inspector.backends.cuda_backend import DeviceBuffers, Enqueue
from inspector.backends.tensorrt_messages import TensorRtErrors, TensorRtLog, start
from inspector.engine.manifest import EngineFolder, Manifest
from inspector.errors import DeviceError, EngineError

PROFILE = 0
"""The only optimisation profile, from one frame to the largest batch. Contexts share it, as TensorRT allows since
10.0."""


DRIVER = "`nvidia-smi` must show a driver for CUDA 13 and free memory"
REBUILD = "build the engine again on this PC"

CUDA_ERROR = "(cudaError "
"""Part of a TensorRT message that says that CUDA failed, so the plan is not at fault."""


class TensorRtNetwork:
    """The engine, with one execution context per slot and batch size.

    Raises EngineError for a plan that does not match the manifest.
    """

    graphs_itself = False

    def __init__(self, folder: EngineFolder, plan: Path, cuda: Cuda, lean_library: Path | None = None) -> None:
        self._folder, self._manifest = folder, folder.manifest
        self._plan = plan
        # TensorRT holds plain pointers to both, so they must outlive everything else.
        self._errors = TensorRtErrors()
        self._log = TensorRtLog()
        self._contexts: list[trt.IExecutionContext] = []
        self._engine: trt.ICudaEngine | None = None
        self._lean: trt.Runtime | None = None
        self._runtime: trt.Runtime | None = None
        try:
            self._runtime = self._prepared(self._started())
            if lean_library is not None:
                self._lean = self._prepared(self._loaded(self._runtime, lean_library))
            engine = self._engine = self._deserialised(self._lean or self._runtime)
            _check_tensors(engine, self._manifest, plan)
            # All contexts share this scratch memory: they run on one stream, so never at the same time.
            self._scratch_bytes = max(1, engine.get_device_memory_size_for_profile_v2(PROFILE))
            self._scratch = cuda.memory(self._scratch_bytes)
        except BaseException:
            engine = None
            if cuda.works():
                self.close()
            else:
                # Their destructors would call the lost device.
                leak((self._contexts, self._engine, self._lean, self._runtime, self._errors, self._log))
            raise

    def close(self) -> None:
        """Free the users first: contexts, engine, lean runtime, then the runtime that loaded it."""
        self._contexts.clear()
        self._engine = None
        self._lean = None
        self._runtime = None

    def _started(self) -> trt.Runtime:
        try:
            return start(trt.Runtime, self._log)
        except DeviceError as error:
            raise EngineError(f"{self._plan}: {error}: {DRIVER}") from None

    def _loaded(self, parent: trt.Runtime, lean_library: Path) -> trt.Runtime:
        runtime = parent.load_runtime(str(lean_library))
        if runtime is None:
            raise EngineError(f"{self._plan}: TensorRT cannot load {lean_library}: {self._errors.told()}")
        return runtime

    def _prepared(self, runtime: trt.Runtime) -> trt.Runtime:
        # A plan may carry host code that this process would run. Ours never does; refuse plans that do.
        runtime.engine_host_code_allowed = False
        runtime.error_recorder = self._errors
        return runtime

    def _deserialised(self, runtime: trt.Runtime) -> trt.ICudaEngine:
        engine = runtime.deserialize_cuda_engine(self._folder.read(self._plan.name))
        if engine is None:
            told = self._errors.told()
            advice = DRIVER if CUDA_ERROR in told else REBUILD
            raise EngineError(f"{self._plan}: TensorRT {trt.__version__} cannot open it ({told}): {advice}")
        engine.error_recorder = self._errors
        return engine

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:  # noqa: ARG002 (of the seam)
        """Create a context for this batch size and these addresses; neither may change once a graph has them."""
        if self._engine is None:
            raise DeviceError(f"{self._plan}: the engine is closed")
        place = len(self._contexts)
        context = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise DeviceError(f"no execution context: {self._errors.told()}")
        # The only reference, so that an `enqueue` still in use does not keep its context alive after `close`.
        self._contexts.append(context)
        context.set_device_memory(self._scratch, self._scratch_bytes)
        shape = (frames, self._manifest.height, self._manifest.width)
        taken = context.set_input_shape("frames", shape)
        for name in ("frames", "kind", "score", *(("frame",) if self._manifest.scores_frames else ())):
            taken = taken and context.set_tensor_address(name, getattr(buffers, name))
        missing = context.infer_shapes() if taken else ["frames"]
        if missing:
            raise DeviceError(f"batch of {frames} not taken ({', '.join(missing)}): {self._errors.told()}")

        def enqueue(stream: int) -> None:
            if not self._contexts[place].execute_async_v3(stream):
                raise DeviceError(f"inference not enqueued: {self._errors.told()}")

        return enqueue


def _check_tensors(engine: trt.ICudaEngine, manifest: Manifest, plan: Path) -> None:
    """Check the engine contract: names, types, shapes and batch range."""
    maps = (manifest.map_height, manifest.map_width)
    wanted: dict[str, tuple[int, ...]] = {
        "frames": (manifest.height, manifest.width),
        "kind": maps,
        "score": maps,
        **({"frame": ()} if manifest.scores_frames else {}),
    }
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
