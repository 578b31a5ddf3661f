"""The kernel of `cuda_networks` on a real GPU, compiled there by NVRTC: no toolkit, no torch, no TensorRT."""

from typing import Any

import numpy as np
from cuda.bindings import driver, nvrtc

from inspector.backends.cuda_backend import DeviceBuffers, Enqueue
from tests.support.cuda_networks import POISON, STRIDE, KernelBackend

THREADS = 256

SOURCE = f"""
extern "C" __global__ void look(const unsigned char *frames, unsigned char *kind, unsigned char *score,
                                int height, int width, int maps, unsigned long long least_ns)
{{
    unsigned long long started, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(started));
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    const int map_width = width / {STRIDE}, map_pixels = height / {STRIDE} * map_width;
    if (at < maps * map_pixels) {{
        const int frame = at / map_pixels, row = at % map_pixels / map_width, column = at % map_width;
        const long long pixel = ((long long)frame * height + row * {STRIDE}) * width + column * {STRIDE};
        const unsigned char grey = frames[pixel];
        kind[at] = 1 + (grey >> 7);
        score[at] = 255 - grey;
    }}
    if (at == 0) {{
        if (frames[0] == {POISON} && frames[1] == {POISON} && frames[2] == {POISON} && frames[3] == {POISON})
            *(volatile int *)16 = 0;
        do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); while (now - started < least_ns);
    }}
}}
"""


def compiled(compute_capability: str) -> bytes:
    """The kernel for such a GPU ("9.0"); NVRTC itself needs none."""
    program = _checked(nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"look.cu", 0, [], []))
    options = [f"--gpu-architecture=sm_{compute_capability.replace('.', '')}".encode()]
    _checked(nvrtc.nvrtcCompileProgram(program, len(options), options))
    cubin = bytes(_checked(nvrtc.nvrtcGetCUBINSize(program)))
    _checked(nvrtc.nvrtcGetCUBIN(program, cubin))
    return cubin


class NvrtcKernel:
    """The kernel between a slot's buffers; each inference takes `least_ms` at least, as a network's would."""

    graphs_itself = False

    def __init__(self, backend: KernelBackend, least_ms: float = 0.0) -> None:
        self._manifest = backend.manifest
        self._least_ns = int(least_ms * 1e6)
        _checked(driver.cuInit(0))
        self._module = _checked(driver.cuModuleLoadData(compiled(backend.gpu.compute_capability)))
        self._kernel = _checked(driver.cuModuleGetFunction(self._module, b"look"))

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
        manifest = self._manifest
        arguments = [
            *(np.array(address, np.uint64) for address in (buffers.frames, buffers.kind, buffers.score)),
            *(np.array(size, np.int32) for size in (manifest.height, manifest.width, frames)),
            np.array(self._least_ns, np.uint64),
        ]
        pointers = np.array([argument.ctypes.data for argument in arguments], np.uint64)  # type: ignore[attr-defined]
        blocks = -(-frames * manifest.map_height * manifest.map_width // THREADS)

        def enqueue(stream: int, arguments: list[np.ndarray] = arguments) -> None:  # type: ignore[assignment]
            shape = (blocks, 1, 1, THREADS, 1, 1)
            _checked(driver.cuLaunchKernel(self._kernel, *shape, 0, stream, pointers.ctypes.data, 0))

        return enqueue

    def close(self) -> None:
        """No graph is left that holds the kernel."""
        _checked(driver.cuModuleUnload(self._module))


def _checked(answer: tuple[Any, ...]) -> Any:
    error, *results = answer
    if int(error):
        raise RuntimeError(f"{type(error).__name__}.{error.name}")
    return results[0] if results else None
