"""The CUDA plumbing on the stand-in GPU: bit-exact, ordered by events, nothing taken twice or left behind."""

import gc
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from inspector.backends.base import DEFAULT_SETTINGS, BackendSettings
from inspector.backends.cuda import open_cuda
from inspector.backends.cuda_backend import captured_sizes
from inspector.errors import DeviceError, EngineError
from inspector.values import Pixels
from inspector.wire.pixel_ring import PixelRing
from tests.support.cuda_networks import (
    STRIDE,
    Batches,
    KernelBackend,
    StandInKernel,
    check,
    kernel_folder,
    run_all,
)
from tests.support.gpu_pcs import stand_in_gpu

SIZE = (16, 32)
MAX_BATCH = 6


@pytest.fixture
def runtime() -> Iterator[ModuleType]:
    with stand_in_gpu() as runtime:
        yield runtime


def open_kernel(
    path: Path, runtime: ModuleType, max_batch: int = MAX_BATCH, settings: BackendSettings = DEFAULT_SETTINGS
) -> KernelBackend:
    backend = KernelBackend(kernel_folder(path / "engine", size=SIZE, max_batch=max_batch), settings)
    backend.make_network = lambda _: StandInKernel(backend, runtime)  # type: ignore[misc,assignment]
    return backend


def batches(count: int) -> Batches:
    return Batches(count, SIZE, MAX_BATCH)


def test_batches_of_mixed_size_are_bit_exact(tmp_path: Path, runtime: ModuleType) -> None:
    """Padding, slots and streams never mix up frames, although copies and kernels are delayed at random."""
    with open_kernel(tmp_path, runtime) as backend:
        run_all(backend, batches(300))


def run_laid(backend: KernelBackend, work: Batches, given: Callable[[int], Sequence[Pixels]]) -> None:
    """Run all batches through `lay`, as the worker does; `given` has each batch's frames, anywhere in memory."""
    answered = 0
    for ticket in range(len(work)):
        while backend.in_flight == backend.slots:
            answered += check(backend, work)
        laid = backend.lay(given(ticket))
        assert laid is not None
        backend.submit(ticket, laid)
    while backend.in_flight:
        answered += check(backend, work)
    assert answered == len(work)


def test_a_batch_is_laid_where_the_gpu_takes_it_from(tmp_path: Path, runtime: ModuleType) -> None:
    """One copy per frame, into the slot's pinned memory, also with other batches submitted in between."""
    work = batches(100)
    with open_kernel(tmp_path, runtime) as backend:
        run_laid(backend, work, lambda ticket: list(work[ticket]))
        run_all(backend, batches(20))
        run_laid(backend, work, lambda ticket: list(work[ticket]))


RING_SLOTS = MAX_BATCH * 4
"""Of each of two cameras: more than three batches in flight hold."""


def test_registered_frames_are_copied_from_where_they_lie(tmp_path: Path, runtime: ModuleType) -> None:
    """Each camera's shared memory is page-locked once as a whole; other frames are copied as usual."""
    rings = [PixelRing.create(tmp_path / name, SIZE[0] * SIZE[1], RING_SLOTS) for name in ("a", "b")]
    work, taken = batches(200), itertools.count()

    def from_rings(ticket: int) -> list[Pixels]:
        if ticket % 7 == 0:
            return list(work[ticket])  # came inside their message
        frames = []
        for frame in work[ticket]:
            place = next(taken)
            ring, slot = rings[place % 2], place // 2 % RING_SLOTS
            ring.put(slot, frame)
            frames.append(ring.view(slot, *SIZE))
        return frames

    with open_kernel(tmp_path, runtime, settings=BackendSettings(register_frames=True)) as backend:
        run_laid(backend, work, from_rings)
        run_all(backend, batches(20))
        assert (runtime.calls["cudaHostRegister"], len(runtime.device.registered)) == (2, 2)
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}
    assert runtime.device.fault is None


def test_shared_memory_that_goes_is_page_locked_no_more(tmp_path: Path, runtime: ModuleType) -> None:
    """Each restart of ingest brings new memory, and the old one is released each time."""
    with open_kernel(tmp_path, runtime, settings=BackendSettings(register_frames=True)) as backend:
        for start in range(3):
            ring = PixelRing.create(tmp_path / str(start), SIZE[0] * SIZE[1], MAX_BATCH)
            work = batches(1)
            ring.put(0, work[0][0])
            backend.submit(0, backend.lay([ring.view(0, *SIZE)]))  # type: ignore[arg-type]
            backend.wait()
            assert len(runtime.device.registered) == 1
            del ring
            gc.collect()
            assert not runtime.device.registered


def test_nothing_is_allocated_or_recorded_a_batch(tmp_path: Path, runtime: ModuleType) -> None:
    """All memory, events and graphs are taken when the engine is opened."""
    with open_kernel(tmp_path, runtime) as backend:
        run_all(backend, batches(5))
        held, calls = runtime.stand_in_held(), Counter(runtime.calls)
        run_all(backend, batches(50))
        assert runtime.stand_in_held() == held
        grown = Counter(runtime.calls) - calls
    assert grown["cudaGraphLaunch"] == 50
    assert not [name for name in grown if "Alloc" in name or "Create" in name or "Capture" in name]


def test_everything_is_given_back_once(tmp_path: Path, runtime: ModuleType) -> None:
    """Also with a batch in flight; the stand-in aborts a program that frees memory in use."""
    with open_kernel(tmp_path, runtime) as backend:
        backend.submit(1, batches(1)[0])
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}
    assert runtime.device.fault is None


@pytest.mark.parametrize(("most", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])])
def test_captured_sizes_double_up_to_the_largest(most: int, sizes: list[int]) -> None:
    """So padding never more than doubles the work, and the largest batch has none."""
    assert captured_sizes(most) == sizes


@pytest.mark.parametrize("call", ["cudaGraphLaunch", "cudaEventSynchronize", "cudaMemcpyAsync"])
def test_a_cuda_error_ends_the_engine_with_one_line(tmp_path: Path, call: str) -> None:
    """The next submit, collect or wait raises it; closing does not hang, whatever was in flight."""
    with stand_in_gpu(CUDA_FAIL=f"{call}@30=cudaErrorLaunchFailure") as runtime:
        backend = open_kernel(tmp_path, runtime)
        with (
            backend,
            pytest.raises(
                DeviceError, match=r"instant@.* on Stand-in GPU: cuda.*cudaErrorLaunchFailure"
            ) as caught,
        ):
            run_all(backend, batches(60))
        assert "\n" not in str(caught.value)


def test_what_fails_while_opening_is_given_back(tmp_path: Path, runtime: ModuleType) -> None:
    """A network that cannot be loaded leaves no memory taken: the next engine in this process finds it free."""
    backend = open_kernel(tmp_path, runtime)

    def fail(cuda: object) -> StandInKernel:
        cuda.memory(1000)  # type: ignore[attr-defined]
        raise EngineError("no network")

    backend.make_network = fail  # type: ignore[assignment]
    with pytest.raises(EngineError, match="no network"), backend:
        pass
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}


def kernel_that_fails(
    path: Path, runtime: ModuleType, fails_at: dict[int, tuple[int, Exception]]
) -> tuple[KernelBackend, StandInKernel]:
    """Return a network that fails for these batch sizes, at the given enqueue (the second is captured)."""
    backend = open_kernel(path, runtime)
    kernel = StandInKernel(backend, runtime)
    kernel.fails_at = fails_at
    backend.make_network = lambda _: kernel  # type: ignore[misc,assignment]
    return backend, kernel


@pytest.mark.parametrize("enqueue", [1, 2])
def test_an_open_that_fails_gives_the_network_back_before_its_memory(
    tmp_path: Path, runtime: ModuleType, enqueue: int
) -> None:
    """Also inferences bound before the failed one, which only the exception's stack frames still reference."""
    backend, kernel = kernel_that_fails(tmp_path, runtime, {4: (enqueue, DeviceError("no kernel for 4 frames"))})
    with pytest.raises(DeviceError, match="no kernel for 4 frames"), backend:
        pass
    del backend.make_network  # the test's own hold on the network
    assert kernel.events == ["inference gone"] * 3 + ["closed"]
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}


def test_what_fails_in_a_capture_is_what_is_said_and_the_capture_ends(tmp_path: Path, runtime: ModuleType) -> None:
    """The message is the cause, not the invalid capture, and the next engine in this process opens."""
    backend, _ = kernel_that_fails(tmp_path, runtime, {1: (2, DeviceError("inference not enqueued"))})
    with pytest.raises(DeviceError, match=r"^inference not enqueued$"), backend:
        pass
    assert runtime.calls["cudaStreamEndCapture"] == 1
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}
    with open_kernel(tmp_path / "next", runtime) as backend:
        run_all(backend, batches(5))


def test_a_cuda_call_that_a_capture_forbids_is_named(tmp_path: Path, runtime: ModuleType) -> None:
    """The call itself, not the end of the capture that it made invalid."""
    backend = open_kernel(tmp_path, runtime)

    class Allocating(StandInKernel):
        def bind(self, buffers: object, frames: int, stream: int) -> Callable[[int], None]:
            enqueue = super().bind(buffers, frames, stream)  # type: ignore[arg-type]
            return lambda stream: (backend._cuda.memory(64), enqueue(stream))  # type: ignore[return-value]

    backend.make_network = lambda _: Allocating(backend, runtime)  # type: ignore[misc,assignment]
    with pytest.raises(DeviceError, match=r"^cudaMalloc: .*\(cudaErrorStreamCaptureUnsupported\)$"), backend:
        pass
    assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}


def test_after_running_out_of_memory_a_smaller_batch_finds_all_of_it(tmp_path: Path) -> None:
    """The larger one's memory is released, because the smaller one needs nearly all of it."""
    pixels = SIZE[0] * SIZE[1]
    a_frame = pixels + 2 * (pixels // STRIDE**2)
    with stand_in_gpu(CUDA_MEMORY=str(3 * 8 * a_frame)) as runtime:
        backend = open_kernel(tmp_path, runtime, max_batch=9)
        with (
            pytest.raises(DeviceError, match=r"cudaMalloc: .*\(cudaErrorMemoryAllocation\): .*--max-batch"),
            backend,
        ):
            pass
        assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}
        with open_kernel(tmp_path / "smaller", runtime, max_batch=8) as backend:
            run_all(backend, Batches(20, SIZE, 8))


@pytest.mark.parametrize("error", ["cudaErrorIllegalAddress", "cudaErrorLaunchFailure"])
@pytest.mark.parametrize("call", ["cudaGraphLaunch@30", "cudaEventSynchronize@5", "cudaStreamSynchronize@3"])
def test_after_a_sticky_error_nothing_is_destroyed(tmp_path: Path, call: str, error: str) -> None:
    """Neither handles nor memory nor the network, whether it comes while opening or with batches in flight."""
    with stand_in_gpu(CUDA_FAIL=f"{call}={error}") as runtime:
        backend, kernel = kernel_that_fails(tmp_path, runtime, {})
        with pytest.raises(DeviceError, match=error), backend:
            run_all(backend, batches(60))
        del backend
        gc.collect()
        assert kernel.events == []
        assert [name for name in runtime.after_fault if "Free" in name or "Destroy" in name] == []


def test_a_failing_call_that_is_not_sticky_leaves_nothing_behind(tmp_path: Path) -> None:
    """The device still answers, so everything is given back."""
    with stand_in_gpu(CUDA_FAIL="cudaGraphLaunch@30=cudaErrorInvalidValue") as runtime:
        backend, kernel = kernel_that_fails(tmp_path, runtime, {})
        with pytest.raises(DeviceError, match="cudaErrorInvalidValue"), backend:
            run_all(backend, batches(60))
        assert kernel.events[-1] == "closed"
        assert runtime.stand_in_held() == {"allocations": 0, "handles": 0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"CUDA_GPU": ""}, "none found"),
        ({"CUDA_FAIL": "cudaGetDeviceCount@1=cudaErrorInsufficientDriver"}, "cudaErrorInsufficientDriver"),
    ],
)
def test_a_missing_gpu_or_driver_is_one_clear_line(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    """It names the command that shows the GPU and the one that builds for a CPU."""
    with stand_in_gpu(**settings), pytest.raises(EngineError, match=f"{said}.*nvidia-smi.*build-engine"):
        open_cuda(tmp_path)


def test_missing_cuda_python_names_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library gives one line, not a traceback."""
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings", None)
    with pytest.raises(EngineError, match=r"needs NVIDIA's cuda-python .*pip install 'strip-inspector\[gpu\]'"):
        open_cuda(tmp_path)


def test_the_stand_in_sees_a_missing_event(
    tmp_path: Path, runtime: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in itself is tested: without events between the streams it finds a race or wrong maps."""
    monkeypatch.setattr("inspector.backends.cuda.Cuda.wait_on_device", lambda *_: None)
    with open_kernel(tmp_path, runtime) as backend, pytest.raises((DeviceError, AssertionError)):
        run_all(backend, batches(200))
