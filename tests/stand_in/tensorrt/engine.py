"""From a plan to answers on a stream."""

import weakref

import numpy as np
import onnxruntime
from cuda.bindings import runtime as cuda

from .callbacks import Telling
from .plan import read_plan
from .values import DataType, Dims, ErrorCodeTRT, ExecutionContextAllocationStrategy, Misuse
from .version import __version__

SCRATCH = 4096
"""Bytes a context says it needs; it writes them all, so that contexts that share them must not run at once."""

AMPERE = 8


class Runtime(Telling):
    def __init__(self, logger) -> None:
        super().__init__(logger)
        self.engine_host_code_allowed = False
        self._lean = False
        self.loaded_from = None

    def load_runtime(self, path):
        lean = Runtime(self.logger)
        lean._lean = True
        lean.loaded_from = path
        return lean

    def deserialize_cuda_engine(self, serialized_engine):
        try:
            facts, model = read_plan(bytes(serialized_engine))
        except ValueError as error:
            return self.fail(ErrorCodeTRT.INVALID_ARGUMENT, str(error))
        if problem := self._problem(facts):
            return self.fail(ErrorCodeTRT.INVALID_ARGUMENT, problem)
        return ICudaEngine(facts, model, self)

    def _problem(self, facts):
        if facts["version"] != __version__ and not self._lean:
            return "the engine plan file is not compatible with this version of TensorRT"
        if "VERSION_COMPATIBLE" in facts["flags"] and "EXCLUDE_LEAN_RUNTIME" not in facts["flags"]:
            return None if self.engine_host_code_allowed else "the plan holds host code, which is not allowed"
        _, here = cuda.cudaGetDeviceProperties(0)
        if facts["capability"] == [here.major, here.minor]:
            return None
        if facts["hardware"] == "AMPERE_PLUS" and here.major >= AMPERE:
            return None
        return "the engine was generated on an incompatible device"


class ICudaEngine:
    def __init__(self, facts, model, runtime) -> None:
        self.error_recorder = None
        self._profile = facts["profile"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._session, self._runtime = session, runtime
        self._tensors = {each.name: each for each in (*session.get_inputs(), *session.get_outputs())}

    @property
    def num_io_tensors(self):
        return len(self._tensors)

    def get_tensor_name(self, index):
        return list(self._tensors)[index]

    def get_tensor_dtype(self, name):
        types = {"tensor(uint8)": DataType.UINT8, "tensor(float)": DataType.FLOAT}
        return types[self._tensors[name].type]

    def get_tensor_shape(self, name):
        return Dims(each if isinstance(each, int) else -1 for each in self._tensors[name].shape)

    def get_tensor_profile_shape(self, name, profile_index):
        if profile_index:
            raise Misuse("there is one profile, 0")
        return [Dims(each) for each in self._profile[name]]

    def get_device_memory_size_for_profile_v2(self, profile_index):
        return SCRATCH

    def create_execution_context(self, strategy=ExecutionContextAllocationStrategy.STATIC):
        return IExecutionContext(self, strategy)


class IExecutionContext:
    def __init__(self, engine, strategy) -> None:
        self._engine = engine
        self._managed = strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        self._scratch = None
        self._shapes, self._addresses = {}, {}
        self._enqueued = self._captured = False

    def set_device_memory(self, memory, size) -> None:
        if memory % 256 or size < SCRATCH:
            raise Misuse("device memory is not aligned to 256 bytes or smaller than the engine said")
        self._scratch = (memory, memory + size)

    def set_input_shape(self, name, shape):
        least, _, most = self._engine._profile.get(name) or _misuse(f"no input {name}")
        if not all(low <= each <= high for low, each, high in zip(least, shape, most, strict=True)):
            raise Misuse(f"{name} {tuple(shape)} lies outside the optimisation profile")
        self._change()
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name, memory):
        if name not in self._engine._tensors:
            raise Misuse(f"no tensor {name}")
        if memory % 256:
            raise Misuse(f"address of {name} is not aligned to 256 bytes")
        self._change()
        self._addresses[name] = memory
        return True

    def infer_shapes(self):
        return [name for name in self._engine._profile if name not in self._shapes]

    def execute_async_v3(self, stream_handle):
        if self.infer_shapes() or len(self._addresses) < self._engine.num_io_tensors:
            raise Misuse("enqueued before every shape and address was set")
        if self._managed and self._scratch is None:
            raise Misuse("enqueued without device memory")
        stream = cuda._stream(stream_handle)
        if stream.captured is not None:
            if not self._enqueued:
                raise Misuse("captured before it was enqueued once: deferred work cannot be recorded")
            self._captured = True
        self._enqueued = True
        sizes = {name: int(np.prod(self._shape(name))) for name in self._addresses}
        ranges = {name: (at, at + sizes[name]) for name, at in self._addresses.items()}
        written = [ranges[each.name] for each in self._engine._session.get_outputs()]
        reads = [ranges[each.name] for each in self._engine._session.get_inputs()]
        scratch = [self._scratch] if self._scratch else []
        # A graph does not keep what it was captured from: nor does this launch.
        context = weakref.ref(self)

        def run() -> None:
            held = context() or _misuse("launched after its execution context was destroyed")
            held._compute()

        cuda.stand_in_launch(stream_handle, "inference", reads, written + scratch, run)
        return True

    def _compute(self) -> None:
        if self._scratch:
            cuda.device.view(self._scratch[0], SCRATCH)[:] ^= 1
        feed = {name: self._view(name) for name in self._shapes}
        for output, values in zip(
            self._engine._session.get_outputs(), self._engine._session.run(None, feed), strict=True
        ):
            self._view(output.name)[:] = values

    def _view(self, name):
        shape = self._shape(name)
        return cuda.device.view(self._addresses[name], int(np.prod(shape))).reshape(shape)

    def _shape(self, name):
        frames = next(iter(self._shapes.values()))[0]
        return self._shapes.get(name) or (frames, *self._engine.get_tensor_shape(name)[1:])

    def _change(self) -> None:
        if self._captured:
            raise Misuse("a context was changed after a graph had captured it")


def _misuse(words) -> None:
    raise Misuse(words)
