"""CUDA as the GPU backends need it, on NVIDIA's cuda-python: calls checked, every resource given back once."""

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
"""The first GPU the process sees; CUDA_VISIBLE_DEVICES picks another."""

ADVICE: Final = {
    "cudaErrorMemoryAllocation": (
        "build the engine with a smaller --max-batch, or stop what else holds the memory (`nvidia-smi` shows it)"
    ),
}
"""What to do about an error, where CUDA's own words do not say it."""

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device, as manifests, logs and reports name it."""

    name: str
    compute_capability: str
    """ "9.0" and the like."""
    memory_bytes: int
    driver: str
    """Newest CUDA version the driver serves, "13.2"."""
    runtime: str

    def versions(self) -> dict[str, str]:
        """What a manifest records of it."""
        return {
            "gpu": self.name,
            "compute_capability": self.compute_capability,
            "cuda_driver": self.driver,
            "cuda_runtime": self.runtime,
        }


class Cuda:
    """Memory, streams, events and graphs of one GPU; `close` gives back all that is left, newest first."""

    def __init__(self, runtime: CudaRuntime) -> None:
        self._runtime = runtime
        self._held, self._graphs = ExitStack(), ExitStack()
        self._registered: set[int] = set()
        """Addresses of the program's own memory that is page-locked."""
        self.lost = False
        """The device does not answer any more; `works` finds out."""
        self.select()

    def select(self) -> None:
        """Make the device current; every thread that calls CUDA does so once."""
        self.checked(self._runtime.cudaSetDevice, DEVICE)

    def checked(self, call: Callable[P, tuple[Any, ...]], *args: P.args, **kwargs: P.kwargs) -> Any:
        """The call's result; raises DeviceError with CUDA's own words when it fails."""
        error, *results = call(*args, **kwargs)
        if error != self._runtime.cudaError_t.cudaSuccess:
            advice = ADVICE.get(error.name)
            raise DeviceError(
                f"{call.__name__}: {_words(self._runtime, error)}" + (f": {advice}" if advice else "")
            )
        return results[0] if len(results) == 1 else tuple(results)

    def works(self) -> bool:
        """Wait until the device has done all it was given, and tell whether it still answers.

        An illegal access or a failed launch is sticky: every later call fails with the same error, until the
        process ends. Running out of memory, or a failed capture, is not. Asking the device needs no list of which
        errors are.
        """
        if not self.lost:
            self._runtime.cudaGetLastError()  # an error that was raised already is not the answer
            error, *_ = self._runtime.cudaDeviceSynchronize()
            self.lost = error != self._runtime.cudaError_t.cudaSuccess
        return not self.lost

    def gpu(self) -> Gpu:
        """What it is; raises DeviceError."""
        return _gpu(self)

    def free_bytes(self) -> int:
        """Device memory nobody holds."""
        free, _ = self.checked(self._runtime.cudaMemGetInfo)
        return int(free)

    def pinned(self, shape: tuple[int, ...]) -> Pixels:
        """Page-locked host memory, uint8: the only kind that is copied while the GPU computes."""
        size = math.prod(shape)
        address = int(self.checked(self._runtime.cudaHostAlloc, size, self._runtime.cudaHostAllocDefault))
        self._hold(self._runtime.cudaFreeHost, address)
        memory = memoryview((ctypes.c_uint8 * size).from_address(address))
        array: Pixels = np.frombuffer(memory, np.uint8).reshape(shape)
        array[:] = 0
        return array

    def register(self, memory: Pixels) -> None:
        """Page-lock memory of the program's own, until it goes or the device is closed; once is enough."""
        address = memory.ctypes.data
        if address in self._registered:
            return
        flags = self._runtime.cudaHostRegisterDefault
        self.checked(self._runtime.cudaHostRegister, address, memory.nbytes, flags)
        self._registered.add(address)
        gone = weakref.finalize(memory, self._unregister, address)
        gone.atexit = False  # the driver does it then
        self._held.callback(gone)

    def _unregister(self, address: int) -> None:
        self._registered.discard(address)
        if not self.lost:
            self.checked(self._runtime.cudaHostUnregister, address)

    def memory(self, size: int) -> int:
        """Device memory filled with zeros; its address."""
        address = int(self.checked(self._runtime.cudaMalloc, size))
        self._hold(self._runtime.cudaFree, address)
        self.checked(self._runtime.cudaMemset, address, 0, size)
        return address

    def stream(self) -> Handle:
        """A stream that does not wait for the default one."""
        stream = self.checked(self._runtime.cudaStreamCreateWithFlags, self._runtime.cudaStreamNonBlocking)
        self._hold(self._runtime.cudaStreamDestroy, stream)
        return stream

    def event(self) -> Handle:
        """An event whose waiter sleeps: spinning would take a core from the line."""
        flags = self._runtime.cudaEventBlockingSync | self._runtime.cudaEventDisableTiming
        event = self.checked(self._runtime.cudaEventCreateWithFlags, flags)
        self._hold(self._runtime.cudaEventDestroy, event)
        return event

    def copy_in(self, target: int, source: Pixels, stream: Handle) -> None:
        """Pinned host memory to the device, behind what the stream already has."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.checked(self._runtime.cudaMemcpyAsync, target, source.ctypes.data, source.nbytes, kind, stream)

    def copy_out(self, target: Pixels, source: int, stream: Handle) -> None:
        """Device to pinned host memory, behind what the stream already has."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.checked(self._runtime.cudaMemcpyAsync, target.ctypes.data, source, target.nbytes, kind, stream)

    def record(self, event: Handle, stream: Handle) -> None:
        """`event` happens when the stream gets here."""
        self.checked(self._runtime.cudaEventRecord, event, stream)

    def wait_on_device(self, stream: Handle, event: Handle) -> None:
        """What `stream` is given from now on starts after `event`."""
        self.checked(self._runtime.cudaStreamWaitEvent, stream, event, 0)

    def wait(self, event: Handle) -> None:
        """Sleep until the event has happened."""
        self.checked(self._runtime.cudaEventSynchronize, event)

    def synchronise(self, stream: Handle) -> None:
        """Sleep until the stream is empty."""
        self.checked(self._runtime.cudaStreamSynchronize, stream)

    def graph(self, stream: Handle, enqueue: Callable[[int], None]) -> Callable[[], None]:
        """Record what `enqueue` gives the stream; the returned callable gives it all again in one launch."""
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
        """A stream that is still capturing takes no work and cannot be destroyed. What failed has its own error,
        which is the cause: that this capture is invalid then is only its effect."""
        error, *graphs = self._runtime.cudaStreamEndCapture(stream)
        if error == self._runtime.cudaError_t.cudaSuccess:
            self._graphs.callback(self.checked, self._runtime.cudaGraphDestroy, graphs[0])

    def drop_graphs(self) -> None:
        """Before what was captured goes: a graph does not hold it. Its launches are of no use any more."""
        self._graphs.close()

    def close(self) -> None:
        """Give everything back. What a lost device holds is leaked: the driver frees it when the process ends."""
        if not self.works():
            self._graphs.pop_all()
            self._held.pop_all()
        self._graphs.close()
        self._held.close()

    def _hold(self, release: Callable[[Any], tuple[Any, ...]], handle: Any) -> None:
        self._held.callback(lambda: self.checked(release, handle))


def open_cuda(folder: Path) -> Cuda:
    """The first GPU; raises EngineError where there is none or no cuda-python, with what to do."""
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
    """Never free it, not even when the process ends: its destructor would call a device that is lost."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _gpu(cuda: Cuda) -> Gpu:
    runtime = cuda._runtime  # noqa: SLF001 (its own module)
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
