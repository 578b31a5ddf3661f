"""CUDA for the GPU backends, on NVIDIA's cuda-python: every call is checked, every resource is released once."""

import ctypes
import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ParamSpec, cast

import numpy as np

from inspector.backends.cuda_runtime import CudaRuntime, Handle
from inspector.errors import DeviceError, EngineError
from inspector.values import Pixels

INSTALL: Final = "pip install 'strip-inspector[gpu]'"

DEVICE: Final = 0
"""The first GPU visible to the process; CUDA_VISIBLE_DEVICES selects another."""

ADVICE: Final = {
    "cudaErrorMemoryAllocation": (
        "build the engine with a smaller --max-batch, or stop what else holds the memory (`nvidia-smi` shows it)"
    ),
}
"""Advice for errors whose CUDA message does not say what to do."""

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device, as manifests, logs and reports name it."""

    name: str
    compute_capability: str
    """For example "9.0"."""
    memory_bytes: int
    driver: str
    """Newest CUDA version that the driver supports, for example "13.2"."""
    runtime: str

    def versions(self) -> dict[str, str]:
        """Return the entries that a manifest records about the device."""
        return {
            "gpu": self.name,
            "compute_capability": self.compute_capability,
            "cuda_driver": self.driver,
            "cuda_runtime": self.runtime,
        }


class Cuda:
    """Memory, streams, events and graphs of one GPU; `close` releases all that remain, newest first."""

    def __init__(self, runtime: CudaRuntime) -> None:
        self._runtime = runtime
        self._held, self._graphs = ExitStack(), ExitStack()
        self._registered: set[int] = set()
        """Addresses of page-locked memory that this class did not allocate."""
        self.lost = False
        """Whether the device no longer responds; `works` updates it."""
        self.select()

    def select(self) -> None:
        """Make the device current; every thread that calls CUDA must call this once."""
        self.checked(self._runtime.cudaSetDevice, DEVICE)

    def checked(self, call: Callable[P, tuple[Any, ...]], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return the call's result; raises DeviceError with CUDA's message when it fails."""
        error, *results = call(*args, **kwargs)
        if error != self._runtime.cudaError_t.cudaSuccess:
            advice = ADVICE.get(error.name)
            raise DeviceError(
                f"{call.__name__}: {_words(self._runtime, error)}" + (f": {advice}" if advice else "")
            )
        return results[0] if len(results) == 1 else tuple(results)

    def works(self) -> bool:
        """Wait until the device has finished all its work; returns whether it still responds.

        An illegal access or a failed launch is sticky: every later call fails with the same error until the
        process ends. Running out of memory or a failed capture is not sticky. Asking the device avoids a list of
        sticky errors.
        """
        if not self.lost:
            self._runtime.cudaGetLastError()  # clears an error that was already raised
            error, *_ = self._runtime.cudaDeviceSynchronize()
            self.lost = error != self._runtime.cudaError_t.cudaSuccess
        return not self.lost

    def gpu(self) -> Gpu:
        """Return the device's description; raises DeviceError."""
        return _gpu(self)

    def free_bytes(self) -> int:
        """Return the free device memory, bytes."""
        free, _ = self.checked(self._runtime.cudaMemGetInfo)
        return int(free)

    def pinned(self, shape: tuple[int, ...]) -> Pixels:
        """Allocate page-locked host memory, uint8; only such memory is copied while the GPU computes."""
        size = math.prod(shape)
        address = int(self.checked(self._runtime.cudaHostAlloc, size, self._runtime.cudaHostAllocDefault))
        self._hold(self._runtime.cudaFreeHost, address)
        memory = memoryview((ctypes.c_uint8 * size).from_address(address))
        array: Pixels = np.frombuffer(memory, np.uint8).reshape(shape)
        array[:] = 0
        return array

    def register(self, memory: Pixels) -> None:
        """Page-lock memory that the program allocated, until it is freed or the device is closed.

        Repeated calls do nothing.
        """
        address = memory.ctypes.data
        if address in self._registered:
            return
        flags = self._runtime.cudaHostRegisterDefault
        self.checked(self._runtime.cudaHostRegister, address, memory.nbytes, flags)
        self._registered.add(address)
        gone = weakref.finalize(memory, self._unregister, address)
        gone.atexit = False  # the driver releases it at exit
        self._held.callback(gone)

    def _unregister(self, address: int) -> None:
        self._registered.discard(address)
        if not self.lost:
            self.checked(self._runtime.cudaHostUnregister, address)

    def memory(self, size: int) -> int:
        """Allocate device memory filled with zeros; returns its address."""
        address = int(self.checked(self._runtime.cudaMalloc, size))
        self._hold(self._runtime.cudaFree, address)
        self.checked(self._runtime.cudaMemset, address, 0, size)
        return address

    def stream(self) -> Handle:
        """Create a stream that does not wait for the default stream."""
        stream = self.checked(self._runtime.cudaStreamCreateWithFlags, self._runtime.cudaStreamNonBlocking)
        self._hold(self._runtime.cudaStreamDestroy, stream)
        return stream

    def event(self) -> Handle:
        """Create an event whose waiter sleeps: spinning would take a core from the line."""
        flags = self._runtime.cudaEventBlockingSync | self._runtime.cudaEventDisableTiming
        event = self.checked(self._runtime.cudaEventCreateWithFlags, flags)
        self._hold(self._runtime.cudaEventDestroy, event)
        return event

    def copy_in(self, target: int, source: Pixels, stream: Handle) -> None:
        """Copy pinned host memory to the device, after the work already on the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.checked(self._runtime.cudaMemcpyAsync, target, source.ctypes.data, source.nbytes, kind, stream)

    def copy_out(self, target: Pixels, source: int, stream: Handle) -> None:
        """Copy device memory to pinned host memory, after the work already on the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.checked(self._runtime.cudaMemcpyAsync, target.ctypes.data, source, target.nbytes, kind, stream)

    def record(self, event: Handle, stream: Handle) -> None:
        """Record `event` on the stream; it completes when the stream reaches this point."""
        self.checked(self._runtime.cudaEventRecord, event, stream)

    def wait_on_device(self, stream: Handle, event: Handle) -> None:
        """Make later work on `stream` wait for `event`."""
        self.checked(self._runtime.cudaStreamWaitEvent, stream, event, 0)

    def wait(self, event: Handle) -> None:
        """Sleep until the event has completed."""
        self.checked(self._runtime.cudaEventSynchronize, event)

    def synchronise(self, stream: Handle) -> None:
        """Sleep until the stream is empty."""
        self.checked(self._runtime.cudaStreamSynchronize, stream)

    def graph(self, stream: Handle, enqueue: Callable[[int], None]) -> Callable[[], None]:
        """Capture the work that `enqueue` puts on the stream; the returned callable replays it in one launch."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.checked(self._runtime.cudaStreamBeginCapture, stream, mode)
        try:
            enqueue(int(stream))
        except BaseException:
            self._abandon_capture(stream)
            raise
        graph = self.checked(self._runtime.cudaStreamEndCapture, stream)
        self._graphs.callback(self.checked, self._runtime.cudaGraphDestroy, graph)
        executable = self.checked(self._runtime.cudaGraphInstantiate, graph, 0)
        self._graphs.callback(self.checked, self._runtime.cudaGraphExecDestroy, executable)
        return lambda: self.checked(self._runtime.cudaGraphLaunch, executable, stream)

    def _abandon_capture(self, stream: Handle) -> None:
        """End a failed capture: a stream that is still capturing takes no work and cannot be destroyed.

        The caller raises the error that caused the failure. The invalid capture only follows from it, so its error
        is ignored.
        """
        error, *graphs = self._runtime.cudaStreamEndCapture(stream)
        if error == self._runtime.cudaError_t.cudaSuccess:
            self._graphs.callback(self.checked, self._runtime.cudaGraphDestroy, graphs[0])

    def drop_graphs(self) -> None:
        """Destroy all graphs; their launches no longer work.

        Call it before releasing what was captured: a graph holds no reference to it.
        """
        self._graphs.close()

    def close(self) -> None:
        """Release everything.

        Resources of a lost device are leaked: the driver frees them when the process ends.
        """
        if not self.works():
            self._graphs.pop_all()
            self._held.pop_all()
        self._graphs.close()
        self._held.close()

    def _hold(self, release: Callable[[Any], tuple[Any, ...]], handle: Any) -> None:
        self._held.callback(lambda: self.checked(release, handle))


def open_cuda(folder: Path) -> Cuda:
    """Open the first GPU; raises EngineError with advice when there is no GPU or no cuda-python."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise EngineError(f"{folder}: needs NVIDIA's cuda-python ({error}): {INSTALL}") from None
    cuda = cast("CudaRuntime", runtime)
    state, *counts = cuda.cudaGetDeviceCount()
    works = state == cuda.cudaError_t.cudaSuccess
    if not works or not counts[0]:
        reason = "none found" if works else _words(cuda, state)
        raise EngineError(
            f"{folder}: needs an NVIDIA GPU ({reason}): `nvidia-smi` must show one and a driver for CUDA 13; on a "
            "PC without, build for its CPU with `trainer build-engine MODEL --backend openvino`"
        )
    return Cuda(cuda)


def leak(kept: object) -> None:
    """Keep an object alive for ever, even at process exit: its destructor would call a lost device."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _gpu(cuda: Cuda) -> Gpu:
    runtime = cuda._runtime  # noqa: SLF001 (same module)
    properties = cuda.checked(runtime.cudaGetDeviceProperties, DEVICE)
    name = properties.name
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else str(name),
        compute_capability=f"{properties.major}.{properties.minor}",
        memory_bytes=int(properties.totalGlobalMem),
        driver=_cuda_version(cuda.checked(runtime.cudaDriverGetVersion)),
        runtime=_cuda_version(cuda.checked(runtime.cudaRuntimeGetVersion)),
    )


def _cuda_version(number: int) -> str:
    """13020 → "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _words(runtime: CudaRuntime, error: Any) -> str:
    _, text = runtime.cudaGetErrorString(error)
    return f"{text.decode() if isinstance(text, bytes) else text} ({error.name})"
