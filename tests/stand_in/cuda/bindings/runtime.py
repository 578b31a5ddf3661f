"""`cuda.bindings.runtime` without a GPU: the calls the backends use, with NVIDIA's parameter names and errors."""

import os
import zlib
from collections import Counter
from enum import IntEnum
from types import SimpleNamespace

from .device import Device, Event, Misuse, Operation, Stream

FAIL = os.environ.get("STAND_IN_CUDA_FAIL", "")
"""`cudaGraphLaunch@40=cudaErrorLaunchFailure`: from its 40th call on, that call fails like this."""

GPU = os.environ.get("STAND_IN_CUDA_GPU", "Stand-in GPU,9.0")
"""Name and compute capability; empty: no GPU."""

MEMORY = int(os.environ.get("STAND_IN_CUDA_MEMORY", str(8 << 30)))
"""Bytes of the device; beyond them cudaMalloc fails, and nothing else does."""

cudaStreamNonBlocking = 1
cudaEventBlockingSync = 1
cudaEventDisableTiming = 2
cudaHostAllocDefault = 0
cudaHostRegisterDefault = 0


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalState = 401
    cudaErrorIllegalAddress = 700
    cudaErrorHostMemoryAlreadyRegistered = 712
    cudaErrorHostMemoryNotRegistered = 713
    cudaErrorLaunchFailure = 719
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1
    cudaStreamCaptureModeRelaxed = 2


device = Device()
calls: Counter[str] = Counter()
"""How often each was called, for tests that count."""
handles: dict[int, "Handle"] = {}
after_fault: Counter[str] = Counter()
"""What was called once a sticky error had been answered: nothing that frees or destroys belongs here."""
_sticky: list[cudaError_t] = []
_STICKY = (cudaError_t.cudaErrorIllegalAddress, cudaError_t.cudaErrorLaunchFailure)
"""Those of the errors here of which NVIDIA says that any further CUDA work returns them again."""
_SUCCESS = cudaError_t.cudaSuccess
_NEEDS_NO_GPU = ("cudaGetDeviceCount", "cudaGetErrorString", "cudaDriverGetVersion", "cudaRuntimeGetVersion")
_NOT_IN_CAPTURE = ("Malloc", "Free", "HostAlloc", "Memset", "Synchronize", "EventRecord", "WaitEvent")


def stand_in_launch(stream, name, reads, writes, run) -> None:
    """A kernel: what the stand-in of TensorRT, or a test, enqueues on a stream (its address)."""
    _stream(stream).give(Operation(name, reads, writes, run))


def stand_in_held():
    """What was taken and not given back: memory, allocated or registered, and handles."""
    return {"allocations": len(device.allocations) + len(device.registered), "handles": len(handles)}


def _call(function):
    """Counts, fails where a test wants it to, and turns misuse into CUDA's errors, sticky as on a GPU."""
    name = function.__name__
    wanted, _, rest = FAIL.partition("@")
    number, _, error = rest.partition("=")

    def call(*args, **kwargs):
        calls[name] += 1
        if device.fault is not None and not _sticky:
            _sticky.append(cudaError_t.cudaErrorIllegalAddress)
        if _sticky:
            after_fault[name] += 1
            return (_sticky[0], None)
        if name == wanted and calls[name] >= int(number):
            return (_failed(cudaError_t[error]), None)
        if not GPU and name not in _NEEDS_NO_GPU:
            return (cudaError_t.cudaErrorNoDevice, None)
        if any(word in name for word in _NOT_IN_CAPTURE) and _capturing():
            return (_failed(cudaError_t.cudaErrorStreamCaptureUnsupported), None)
        try:
            return (_SUCCESS, *function(*args, **kwargs))
        except Refused as refused:
            return (_failed(refused.error), None)
        except Misuse as misuse:
            device.fault = misuse
            return (_failed(cudaError_t.cudaErrorIllegalAddress), None)

    call.__name__ = name
    call.__wrapped__ = function
    return call


class Refused(Exception):
    """An error of one call: the next may succeed."""

    def __init__(self, error) -> None:
        self.error = error


def _failed(error):
    """A sticky error stays; any error during a capture makes it invalid."""
    if error in _STICKY:
        _sticky.append(error)
    for stream in _capturing():
        stream.invalid = True
    return error


def _capturing():
    streams = (each.kept for each in list(handles.values()) if isinstance(each.kept, Stream))
    return [stream for stream in streams if stream.captured is not None]


class Handle:
    """As cuda-python's: opaque, its address by `int()`."""

    def __init__(self, kept) -> None:
        self.kept = kept
        handles[id(self)] = self

    def __int__(self):
        return id(self)


def _kept(handle, kind):
    held = handles.get(int(handle))
    if held is None or not isinstance(held.kept, kind):
        raise Misuse(f"no {kind.__name__} of that handle: destroyed before, or the default stream")
    return held.kept


def _take(handle, kind):
    kept = _kept(handle, kind)
    del handles[int(handle)]
    return kept


def _stream(handle):
    return _kept(handle, Stream)


def _event(handle):
    return _kept(handle, Event)


def cudaGetErrorString(error):
    words = str(device.fault or error.name.removeprefix("cudaError"))
    return (_SUCCESS, words.encode())


@_call
def cudaGetDeviceCount():
    return (1 if GPU else 0,)


@_call
def cudaGetLastError():
    return ()


@_call
def cudaDeviceSynchronize():
    for each in list(handles.values()):
        if isinstance(each.kept, Stream):
            each.kept.synchronise()
    return () if device.fault is None else _raise(device.fault)


@_call
def cudaSetDevice(device):
    if device:
        raise Misuse("there is one device, 0")
    return ()


@_call
def cudaGetDeviceProperties(device):
    name, _, capability = GPU.partition(",")
    major, _, minor = capability.partition(".")
    properties = {"name": name.encode(), "major": int(major), "minor": int(minor), "totalGlobalMem": MEMORY}
    return (SimpleNamespace(**properties),)


@_call
def cudaDriverGetVersion():
    return (13020,)


@_call
def cudaRuntimeGetVersion():
    return (13000,)


@_call
def cudaMemGetInfo():
    return MEMORY - device.on_device(), MEMORY


@_call
def cudaHostAlloc(size, flags):
    return (device.allocate(size),)


@_call
def cudaFreeHost(ptr):
    device.free(ptr)
    return ()


@_call
def cudaHostRegister(ptr, size, flags):
    if not device.register(ptr, size):
        raise Refused(cudaError_t.cudaErrorHostMemoryAlreadyRegistered)
    return ()


@_call
def cudaHostUnregister(ptr):
    if not device.unregister(ptr):
        raise Refused(cudaError_t.cudaErrorHostMemoryNotRegistered)
    return ()


@_call
def cudaMalloc(size):
    if size > MEMORY - device.on_device():
        raise Refused(cudaError_t.cudaErrorMemoryAllocation)
    return (device.allocate(size, on_device=True),)


@_call
def cudaFree(devPtr):
    device.free(devPtr)
    return ()


@_call
def cudaMemset(devPtr, value, count):
    device.view(devPtr, count)[:] = value
    return ()


@_call
def cudaMemcpyAsync(dst, src, count, kind, stream):
    source, target = device.view(src, count), device.view(dst, count)
    given = zlib.crc32(source) if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else None

    def copy() -> None:
        if given is not None and zlib.crc32(source) != given:
            raise Misuse("a pinned buffer was written before its copy to the device was made")
        target[:] = source

    operation = Operation(kind.name, [(src, src + count)], [(dst, dst + count)], copy)
    _stream(stream).give(operation)
    return ()


@_call
def cudaStreamCreateWithFlags(flags):
    return (Handle(Stream(device)),)


@_call
def cudaStreamDestroy(stream):
    ending = _take(stream, Stream)
    if ending.captured is not None:
        raise Misuse("a stream was destroyed while it was capturing")
    ending.end()
    return ()


@_call
def cudaStreamSynchronize(stream):
    _stream(stream).synchronise()
    return () if device.fault is None else _raise(device.fault)


@_call
def cudaStreamWaitEvent(stream, event, flags):
    _stream(stream).wait_for(_event(event))
    return ()


@_call
def cudaStreamBeginCapture(stream, mode):
    capturing = _stream(stream)
    if capturing.captured is not None:
        raise Refused(cudaError_t.cudaErrorIllegalState)
    capturing.captured, capturing.invalid = [], False
    return ()


@_call
def cudaStreamEndCapture(stream):
    capturing = _stream(stream)
    graph, capturing.captured = capturing.captured, None
    if graph is None:
        raise Misuse("no capture on this stream")
    if capturing.invalid:
        raise Refused(cudaError_t.cudaErrorStreamCaptureInvalidated)
    return (Handle(graph),)


@_call
def cudaGraphInstantiate(graph, flags):
    operations = _kept(graph, list)
    return (Handle(tuple(operations)),)


@_call
def cudaGraphLaunch(graphExec, stream):
    for operation in _kept(graphExec, tuple):
        _stream(stream).give(operation)
    return ()


@_call
def cudaGraphDestroy(graph):
    _take(graph, list)
    return ()


@_call
def cudaGraphExecDestroy(graphExec):
    _take(graphExec, tuple)
    return ()


@_call
def cudaEventCreateWithFlags(flags):
    return (Handle(Event()),)


@_call
def cudaEventDestroy(event):
    _take(event, Event)
    return ()


@_call
def cudaEventRecord(event, stream):
    _stream(stream).record(_event(event))
    return ()


@_call
def cudaEventSynchronize(event):
    happened = _event(event).happened
    if happened is not None:
        happened.wait()
    return () if device.fault is None else _raise(device.fault)


def _raise(misuse) -> None:
    raise misuse
