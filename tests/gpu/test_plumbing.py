"""The CUDA plumbing with a kernel in the network's place: bit-exact, steady, and at two things at once."""

import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from inspector.backends.base import BackendSettings
from inspector.backends.cuda import Cuda, Handle, open_cuda  # type: ignore[attr-defined]
from tests.support.cuda_networks import Batches, KernelBackend, kernel_folder, run_all
from tests.support.gpu_figures import record
from tests.support.gpu_pcs import python_path

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("nvrtc"), pytest.mark.filterwarnings("default")]

SMALL, WHOLE = (64, 256), (256, 1600)

BATCHES = 10_000

GROWTH_BYTES = 1 << 20
"""Memory that other programs on this GPU may take meanwhile; a leak of one frame per batch is 100 times that."""


def open_kernel(
    path: Path, size: tuple[int, int], max_batch: int, *, least_ms: float = 0.0, slots: int | None = None
) -> KernelBackend:
    from tests.support.nvrtc_kernel import NvrtcKernel

    folder = kernel_folder(path, size=size, max_batch=max_batch)
    backend = KernelBackend(folder, BackendSettings(slots=slots))
    backend.make_network = lambda _: NvrtcKernel(backend, least_ms)  # type: ignore[misc,assignment]
    return backend


def test_thousands_of_mixed_batches_are_bit_exact_and_take_no_memory(tmp_path: Path) -> None:
    """Every pixel of every map, whatever the batch was padded to; device memory is what it was at the start."""
    cuda = open_cuda(tmp_path)
    with open_kernel(tmp_path / "engine", SMALL, 6) as backend:
        run_all(backend, Batches(100, SMALL, 6))
        before = cuda.free_bytes()
        started_s = time.perf_counter()
        run_all(backend, Batches(BATCHES, SMALL, 6))
        elapsed_s = time.perf_counter() - started_s
        grown = before - cuda.free_bytes()
    record("plumbing, batches of 1 to 6 frames", batches=BATCHES, seconds=elapsed_s, memory_grew_bytes=grown)
    assert grown < GROWTH_BYTES


def test_memory_is_given_back_when_an_engine_closes(tmp_path: Path) -> None:
    """Ten engines one after the other, as while a line is tried out: none leaves anything on the GPU."""
    cuda = open_cuda(tmp_path)
    free = []
    for turn in range(10):
        with open_kernel(tmp_path / str(turn), WHOLE, 8) as backend:
            run_all(backend, Batches(3, WHOLE, 8))
        free.append(cuda.free_bytes())
    assert free[1] - free[-1] < GROWTH_BYTES, free


def test_copies_overlap_the_computing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the GPU's own clock: the next batch is in, and the last one out, while one is computed."""
    monkeypatch.setattr(Cuda, "event", timed_event)
    frames = np.zeros((32, *WHOLE), np.uint8)
    with open_kernel(tmp_path / "engine", WHOLE, 32, least_ms=50.0) as backend:
        first, second, third = backend._free
        for ticket in range(3):
            backend.submit(ticket, frames)
        while backend.in_flight:
            backend.wait()
        runtime = backend._cuda._runtime

        def ms(earlier: Handle, later: Handle) -> float:
            return float(backend._cuda.checked(runtime.cudaEventElapsedTime, earlier, later))  # type: ignore[attr-defined]

        assert ms(first.computed, second.computed) > 45.0
        assert ms(second.copied_in, first.computed) > 0
        assert ms(third.copied_in, first.computed) > 0
        assert ms(first.copied_out, second.computed) > 0
        assert ms(second.copied_out, third.computed) > 0


def test_slots_side_by_side_are_faster_than_one(tmp_path: Path) -> None:
    """The same, as the line sees it: batches a second with three slots over those with one."""
    frames = np.zeros((32, *WHOLE), np.uint8)
    ms_a_batch = {}
    for slots in (1, 3):
        with open_kernel(tmp_path / str(slots), WHOLE, 32, least_ms=4.0, slots=slots) as backend:
            ms_a_batch[slots] = ms_each(backend, deque([frames] * 100))
    record("plumbing, ms a batch of 32 that computes for 4 ms", one_slot=ms_a_batch[1], three_slots=ms_a_batch[3])
    assert ms_a_batch[3] < 0.85 * ms_a_batch[1]


def test_a_kernel_that_writes_where_no_memory_is_ends_the_engine(tmp_path: Path) -> None:
    """For real: the next call says which engine, GPU and error in one line, and closing returns."""
    program = """
import sys
from pathlib import Path
import numpy as np
from tests.support.cuda_networks import POISON, KernelBackend, kernel_folder
from inspector.errors import DeviceError
from tests.support.nvrtc_kernel import NvrtcKernel
backend = KernelBackend(kernel_folder(Path(sys.argv[1]), size=(64, 128), max_batch=2))
backend.make_network = lambda _: NvrtcKernel(backend)
frames = np.full((1, 64, 128), 100, np.uint8)
try:
    with backend:
        backend.infer(frames)
        frames[0, 0, :4] = POISON
        backend.infer(frames)
except DeviceError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "engine")]
    environment = {**os.environ, "PYTHONPATH": python_path(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("instant@")
    assert "cudaErrorIllegalAddress" in line


def timed_event(cuda: Cuda) -> Handle:
    """An event as the plumbing makes it, with a time."""
    event = cuda.checked(cuda._runtime.cudaEventCreateWithFlags, cuda._runtime.cudaEventBlockingSync)
    cuda._hold(cuda._runtime.cudaEventDestroy, event)
    return event


def ms_each(backend: KernelBackend, work: deque[np.ndarray]) -> float:
    batches, started_s = len(work), time.perf_counter()
    while work or backend.in_flight:
        while work and backend.in_flight < backend.slots:
            backend.submit(len(work), work.pop())
        backend.wait()
    return (time.perf_counter() - started_s) * 1e3 / batches
