"""What goes wrong on a GPU, for real: no memory left, a failed capture, an illegal access in a running line."""

from pathlib import Path

import numpy as np
import pytest

from inspector.backends.cuda import Cuda, open_cuda
from inspector.backends.cuda_backend import DeviceBuffers, Enqueue
from inspector.errors import DeviceError
from tests.support.cuda_networks import KernelBackend, kernel_folder
from tests.support.gpu_figures import record
from tests.support.kernel_engine import KernelLine

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("nvrtc"), pytest.mark.filterwarnings("default")]

SIZE = (256, 1600)
ROOM_BYTES = 256 << 20
"""What is left of the GPU for an engine: a batch of 16 fits, one of 256 does not."""

OF_OTHERS_BYTES = 64 << 20
"""What the driver keeps for the process itself."""


def test_a_smaller_batch_opens_after_one_that_ran_out_of_memory(tmp_path: Path) -> None:
    """In the same process: everything the larger one had taken is free again."""
    from tests.support.nvrtc_kernel import NvrtcKernel

    cuda = open_cuda(tmp_path)
    cuda.memory(cuda.free_bytes() - ROOM_BYTES)
    free = [cuda.free_bytes()]
    for max_batch in (256, 16):
        backend = KernelBackend(kernel_folder(tmp_path / str(max_batch), size=SIZE, max_batch=max_batch))
        backend.make_network = lambda _, backend=backend: NvrtcKernel(backend)  # type: ignore[misc]
        if max_batch == 256:
            with (
                pytest.raises(DeviceError, match=r"\(cudaErrorMemoryAllocation\): .*--max-batch") as caught,
                backend,
            ):
                pass
            free.append(cuda.free_bytes())
        else:
            with backend:
                backend.infer(np.zeros((max_batch, *SIZE), np.uint8))
    cuda.close()
    record("out of memory", said=str(caught.value), free_before_bytes=free[0], free_after_bytes=free[1])
    assert free[0] - free[1] < OF_OTHERS_BYTES


def test_a_capture_that_fails_names_its_cause_and_the_next_engine_opens(tmp_path: Path) -> None:
    """A call that no capture allows: it is what is said, and the device is as good as before."""
    from tests.support.nvrtc_kernel import NvrtcKernel

    class Synchronising(NvrtcKernel):
        def __init__(self, backend: KernelBackend, cuda: Cuda) -> None:
            super().__init__(backend)
            self._cuda = cuda

        def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
            enqueue, enqueued = super().bind(buffers, frames, stream), 0

            def enqueue_and_wait(stream: int) -> None:
                nonlocal enqueued
                enqueue(stream)
                enqueued += 1
                if enqueued == 2:
                    self._cuda.memory(1 << 20)

            return enqueue_and_wait

    backend = KernelBackend(kernel_folder(tmp_path / "failing", size=SIZE, max_batch=4))
    backend.make_network = lambda cuda: Synchronising(backend, cuda)  # type: ignore[misc,assignment]
    with pytest.raises(DeviceError, match=r"^cudaMalloc: .*\(cudaErrorStreamCapture") as caught, backend:
        pass
    record("failed capture", said=str(caught.value))
    after = KernelBackend(kernel_folder(tmp_path / "after", size=SIZE, max_batch=4))
    after.make_network = lambda _: NvrtcKernel(after)  # type: ignore[misc,assignment]
    with after:
        after.infer(np.zeros((8, *SIZE), np.uint8))


def test_an_illegal_access_in_a_running_line_ends_it_and_loses_nothing(tmp_path: Path) -> None:
    """Exit 1, one line that names engine, GPU and error; every frame that was announced has its verdict."""
    run = KernelLine(tmp_path, (64, 128), frames=60, poisoned=30).inspect()
    assert run.code == 1, run.stderr
    (stopped,) = [each for each in run.logged("stopped") if each["process"] == "worker"]
    record("illegal access in a running line", said=stopped["error"], seconds=run.seconds)
    assert "cudaErrorIllegalAddress" in stopped["error"]
    assert run.summary["accepted"] >= 1
    assert run.summary["uninspected"] >= 1
