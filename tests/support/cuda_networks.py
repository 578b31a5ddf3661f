"""A kernel that stands in for a network, on either GPU: its maps can be worked out by hand, to the bit.

score = 255 - grey level, kind = 1 + its highest bit, both sampled at the map stride.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inspector.backends.cuda import Cuda
from inspector.backends.cuda_backend import CudaBackend, DeviceBuffers, Enqueue, Network
from inspector.backends.instant import write_engine
from inspector.engine.manifest import EngineFolder

STRIDE = 4
CLASSES = ("normal", "bright", "dark")

POISON = 13
"""A batch that begins with four pixels of this level makes the kernel write where no memory is."""


def kernel_folder(path: Path, *, size: tuple[int, int], max_batch: int) -> EngineFolder:
    """An engine folder for the kernel: only its manifest counts."""
    return write_engine(
        path, height=size[0], width=size[1], max_batch=max_batch, map_stride=STRIDE, classes=CLASSES
    )


def expected_maps(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(kind, score) by numpy."""
    sampled = frames[:, ::STRIDE, ::STRIDE]
    return (1 + (sampled >> 7)).astype(np.uint8), (255 - sampled).astype(np.uint8)


class Batches(Sequence[np.ndarray]):
    """Batches of mixed size, each computed from its index, so that thousands need no memory."""

    def __init__(self, count: int, size: tuple[int, int], max_batch: int) -> None:
        self._count, self._size, self._max_batch = count, size, max_batch

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: int) -> np.ndarray:  # type: ignore[override]
        random = np.random.default_rng(at)
        return random.integers(0, 256, (random.integers(1, self._max_batch + 1), *self._size), np.uint8)


class KernelBackend(CudaBackend):
    """The plumbing with a kernel in the network's place."""

    make_network: Callable[["KernelBackend", Cuda], Network]

    def _load(self, cuda: Cuda) -> Network:
        return self.make_network(cuda)  # type: ignore[call-arg,arg-type,misc]


def run_all(backend: CudaBackend, work: Sequence[np.ndarray]) -> None:
    """Run all batches through the backend with every slot in use, and compare each answer with numpy."""
    answered = 0
    for ticket in range(len(work)):
        while backend.in_flight == backend.slots:
            answered += check(backend, work)
        given = work[ticket].copy()
        backend.submit(ticket, given)
        given[:] = 0  # the plumbing has its own copy: the caller's may go
    while backend.in_flight:
        answered += check(backend, work)
    assert answered == len(work)


def check(backend: CudaBackend, work: Sequence[np.ndarray]) -> int:
    """Compare the ready answers with numpy; returns the number of batches."""
    answers = backend.wait()
    for answer in answers:
        kind, score = expected_maps(work[answer.ticket])
        assert answer.error is None
        assert np.array_equal(answer.kind, kind)  # type: ignore[arg-type]
        assert np.array_equal(answer.score, score)  # type: ignore[arg-type]
    return len(answers)


class StandInKernel:
    """The kernel on the stand-in's streams; `events` tells what happened to it, in order.

    As with TensorRT, the network holds its inferences until it is closed, so does whoever has one in hand, and
    each needs its buffers as long as it lives.
    """

    graphs_itself = False

    def __init__(self, backend: KernelBackend, runtime: Any) -> None:
        self.manifest = backend.manifest
        self.runtime = runtime
        self.events: list[str] = []
        self._bound: list[_Inference] = []
        self.fails_at: dict[int, tuple[int, Exception]] = {}
        """Batch size → which of its enqueues fails, and how."""

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
        self._bound.append(_Inference(self, buffers, frames))
        return self._bound[-1].enqueue

    def close(self) -> None:
        graphs = [each for each in self.runtime.handles.values() if isinstance(each.kept, list | tuple)]
        assert not graphs, "a graph outlived what it was captured from"
        self._bound.clear()
        self.events.append("closed")


class _Inference:
    def __init__(self, kernel: StandInKernel, buffers: DeviceBuffers, frames: int) -> None:
        manifest, self._view = kernel.manifest, kernel.runtime.device.view
        self._frames, self._launch, self._events = frames, kernel.runtime.stand_in_launch, kernel.events
        self._size = (manifest.height, manifest.width)
        self._misuse = kernel.runtime.Misuse
        pixels, maps = manifest.height * manifest.width, manifest.map_height * manifest.map_width
        self._in = (buffers.frames, frames * pixels)
        self._out = ((buffers.kind, frames * maps), (buffers.score, frames * maps))
        self._enqueued, self._fails = 0, kernel.fails_at.get(frames)

    def enqueue(self, stream: int) -> None:
        self._enqueued += 1
        if self._fails is not None and self._fails[0] == self._enqueued:
            raise self._fails[1]
        read, kind, score = (self._view(*place) for place in (self._in, *self._out))
        shape, misuse = (self._frames, *self._size), self._misuse

        def run() -> None:
            if (read[:4] == POISON).all():
                raise misuse("the kernel wrote at 0x10, which is not allocated")
            kind[:], score[:] = (each.ravel() for each in expected_maps(read.reshape(shape)))

        reads, *writes = ((at, at + size) for at, size in (self._in, *self._out))
        self._launch(stream, "kernel", [reads], writes, run)

    def __del__(self) -> None:
        try:
            self._view(*self._in)
        except Exception as misuse:  # noqa: BLE001 (of the stand-in: there is no such memory any more)
            self._events.append(f"outlived its memory: {misuse}")
        else:
            self._events.append("inference gone")
