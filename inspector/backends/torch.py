"""Torch engines, for GPU PCs without TensorRT and as the reference for GPU tests.

On a CPU, torch is slow and serves only for checks; OpenVINO runs lines there.
"""

import gc
import io
import threading
import time
import warnings
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any, Final

from inspector.backends.base import Answer, Backend, BackendSettings
from inspector.backends.cuda import Cuda
from inspector.backends.cuda_backend import CudaBackend, DeviceBuffers, Enqueue, Network
from inspector.backends.torch_program import DEVICE, PROGRAM_NAME
from inspector.engine.manifest import EngineFolder
from inspector.errors import DeviceError, EngineError
from inspector.values import Pixels

WARM_UPS: Final = 3
"""Runs before a graph is captured: cuDNN then has chosen its kernels and the allocator has its blocks."""

CPU_SLOTS: Final = 2
"""One batch computed, the next one queued."""


def open_torch(folder: EngineFolder, settings: BackendSettings) -> Backend:
    """Create the backend for the device that the engine was built for; it never falls back to another device."""
    on_gpu = folder.manifest.options.get(DEVICE) == "cuda"
    return TorchCudaBackend(folder, settings) if on_gpu else TorchCpuBackend(folder, settings)


class TorchCudaBackend(CudaBackend):
    """An exported program on a GPU, channels last, with one CUDA graph per batch size."""

    def _check(self) -> None:
        self._torch = _import_torch(self.folder)
        if not self._torch.cuda.is_available():
            raise EngineError(
                f"{self.folder.path}: torch {self._torch.__version__} here sees no GPU: `nvidia-smi` must show "
                "one, and torch must be a build with CUDA (`pip install 'torch==2.13.*'`, not from the CPU index)"
            )

    def _load(self, cuda: Cuda) -> Network:  # noqa: ARG002 (torch has its own allocator)
        choose_kernels(self._torch, self.manifest.precision)
        program = load_program(self._torch, self.folder, "cuda")
        return TorchNetwork(self._torch, program, self)

    def device(self) -> str:
        """Return the GPU, the precision and torch's version."""
        return f"{super().device()}, torch {self._torch.__version__}"

    def versions(self) -> dict[str, str]:
        """Return torch's version and the GPU's versions."""
        return {"torch": str(self._torch.__version__), **super().versions()}


class TorchNetwork:
    """The program between a slot's buffers.

    Torch captures the graphs itself, because its allocator must track them.
    """

    graphs_itself = True

    def __init__(self, torch: ModuleType, program: Any, backend: CudaBackend) -> None:
        self._torch, self._program = torch, program
        manifest = backend.manifest
        self._shapes = {"frames": (manifest.height, manifest.width), **backend.outputs()}
        # All graphs share one pool: they run one after another on one stream and leave no data in it for the next.
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: list[Any] = []

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
        """Capture an inference of this batch size between these buffers."""
        torch = self._torch
        compute = torch.cuda.ExternalStream(stream)
        given, *outputs = (
            self._tensor(getattr(buffers, name), (frames, *shape)) for name, shape in self._shapes.items()
        )

        def infer() -> None:
            for output, found in zip(outputs, self._program(given), strict=True):
                output.copy_(found)

        graph = torch.cuda.CUDAGraph()
        try:
            with torch.inference_mode(), torch.cuda.stream(compute):
                for _ in range(WARM_UPS):
                    infer()
                compute.synchronize()
                with torch.cuda.graph(graph, pool=self._pool, stream=compute):
                    infer()
        except RuntimeError as error:
            raise DeviceError(f"torch: {_first_line(_cause(error))}") from None
        self._graphs.append(graph)

        def enqueue(stream: int) -> None:
            try:
                with torch.cuda.stream(torch.cuda.ExternalStream(stream)):
                    graph.replay()
            except RuntimeError as error:
                raise DeviceError(f"torch: {_first_line(error)}") from None

        return enqueue

    def close(self) -> None:
        """Release the graphs, then the weights, then torch's cached memory, so that the next engine can use it."""
        for graph in self._graphs:
            graph.reset()
        self._graphs.clear()
        del self._program, self._pool
        gc.collect()
        self._torch.cuda.empty_cache()

    def _tensor(self, address: int, shape: tuple[int, ...]) -> Any:
        """Wrap the slot's memory in a tensor without copying."""
        return self._torch.as_tensor(_DeviceArray(address, shape), device="cuda")


class _DeviceArray:
    """Device memory under the interface that all CUDA libraries for Python share."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


class TorchCpuBackend(Backend):
    """An exported program on the CPU; a thread runs one batch after another."""

    def _open(self) -> None:
        self._torch = _import_torch(self.folder)
        if self.settings.threads is not None:
            self._torch.set_num_threads(self.settings.threads)
        self._program = load_program(self._torch, self.folder, "cpu")
        self.slots = self.settings.slots or CPU_SLOTS
        self._work: SimpleQueue[tuple[int, Pixels] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="torch")
        self._thread.start()

    def _submit(self, ticket: int, frames: Pixels) -> None:
        self._work.put((ticket, frames))

    def _serve(self) -> None:
        torch = self._torch
        while (work := self._work.get()) is not None:
            ticket, frames = work
            started = time.perf_counter()
            kind = score = frame = error = None
            try:
                # torch refuses read-only memory. Copying a frame costs little compared to the inference.
                given = torch.from_numpy(frames if frames.flags.writeable else frames.copy())
                with torch.inference_mode():
                    kind, score, *more = (output.numpy() for output in self._program(given))
                frame = more[0] if more else None
            except Exception as failure:  # noqa: BLE001  # a dead thread would leave the line waiting for ever
                kind, score, frame, error = None, None, None, _first_line(failure)
            self._answer(Answer(ticket, kind, score, (time.perf_counter() - started) * 1e3, error, frame))

    def _close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def device(self) -> str:
        """Return that this is the CPU, the precision and torch's version."""
        return f"CPU, {self.manifest.precision}, torch {self._torch.__version__}"

    def versions(self) -> dict[str, str]:
        """Return torch's version."""
        return {"torch": str(self._torch.__version__)}


def _import_torch(folder: EngineFolder) -> ModuleType:
    """Import torch and check its version before anything is deserialised.

    Raises EngineError when torch is missing or differs from the version that exported the program.
    """
    try:
        import torch
    except ImportError as error:
        raise EngineError(
            f"{folder.path}: needs torch ({error}): `pip install 'strip-inspector[torch]'`"
        ) from None
    built_with = folder.manifest.versions.get("torch", "an unknown version")
    if _release(built_with) != _release(torch.__version__):
        raise EngineError(
            f"{folder.path}: exported by torch {built_with}, here is {torch.__version__}: build it again on this "
            "PC with `trainer build-engine MODEL --backend torch --out …`"
        )
    return torch


def choose_kernels(torch: ModuleType, precision: str) -> None:
    """Choose how the GPU computes convolutions: fp32 stays fp32, by the kernel that is fastest in the warm-up.

    Torch's default for convolutions is TF32, whose mantissa of 10 bits is no longer than that of fp16.
    """
    torch.backends.cudnn.benchmark = True
    if precision == "fp32":
        torch.backends.cudnn.conv.fp32_precision = "ieee"
        torch.backends.cuda.matmul.fp32_precision = "ieee"


def load_program(torch: ModuleType, folder: EngineFolder, device: str) -> Any:
    """Load the program onto `device`, channels last; raises EngineError for a file that torch cannot open."""
    path: Path = folder.path_of(PROGRAM_NAME)
    content = io.BytesIO(folder.read(PROGRAM_NAME))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about its own file format
            program = torch.export.load(content)
            if device != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            return program.module().to(memory_format=torch.channels_last)
    except Exception as error:  # noqa: BLE001 (the exception of a damaged archive differs from byte to byte)
        raise EngineError(
            f"{path}: torch {torch.__version__} cannot open it ({_first_line(error)}): build the engine again"
        ) from None


def _release(version: str) -> list[str]:
    """ "2.13.0+cu130" → ["2", "13"]: programs stay readable within such a release."""
    return version.split("+", maxsplit=1)[0].split(".")[:2]


def _cause(error: BaseException) -> BaseException:
    """Return the first error in the chain.

    Torch wraps a failed capture in an error that only says that it failed.
    """
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
