"""Runs batches on a GPU: copies overlap with computing, and nothing is allocated after start-up.

A batch passes through three streams: in, compute, out. A slot holds the buffers and events of one batch, so batch
n+1 is copied in and batch n-1 is copied out while batch n is computed. A network implements one method for this:
it binds itself to a slot's buffers and returns a callable that enqueues an inference on a stream.
"""

import math
import mmap
import threading
import time
import traceback
from abc import abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Protocol

import numpy as np

from inspector.backends.base import Answer, Backend
from inspector.backends.cuda import Cuda, leak, open_cuda
from inspector.backends.cuda_runtime import Handle
from inspector.errors import DeviceError
from inspector.values import Pixels

SLOTS: Final = 3
"""Batches in flight: one copied in, one computed, one copied out."""

Enqueue = Callable[[int], None]
"""Enqueue one inference on the stream with this address and return at once; raises DeviceError."""


@dataclass(frozen=True, slots=True)
class DeviceBuffers:
    """Addresses of one slot's buffers, each sized for the largest batch: uint8 frames, kind, score and
    frame scores."""

    frames: int
    kind: int
    score: int
    frame: int = 0
    """0 for an engine without frame scores."""


class Network(Protocol):
    """Computes the output buffers from the input buffer."""

    graphs_itself: bool
    """Whether its enqueue is already one graph launch; the backend then captures no graph."""

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
        """Return an inference of exactly `frames` frames between these buffers; may warm up on `stream`."""

    def close(self) -> None:
        """Release everything, newest first. Nothing runs any more; the buffers still exist."""


@dataclass(slots=True)
class Slot:
    """Buffers, events and launches of one batch, allocated at start and reused for every batch."""

    frames: Pixels
    kind: Pixels
    score: Pixels
    frame: Pixels | None
    """`frames`, `kind`, `score` and `frame` are pinned host memory, each sized for the largest batch. `frame` is
    None for an engine without frame scores."""
    device: DeviceBuffers
    copied_in: Handle
    computed: Handle
    copied_out: Handle
    apart: tuple[Pixels, ...] = ()
    """Frames of the next batch that lie outside `frames` and are copied to the device one by one."""
    launches: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Captured batch size → the callable that launches it."""


def captured_sizes(max_batch: int) -> list[int]:
    """Return the batch sizes that get a graph: powers of two and the largest.

    Other sizes are padded to the next one.
    """
    sizes = [2**power for power in range(max_batch.bit_length()) if 2**power <= max_batch]
    return sizes if sizes[-1] == max_batch else [*sizes, max_batch]


class CudaBackend(Backend):
    """A backend on a GPU; subclasses provide the network."""

    def _open(self) -> None:
        self._check()
        cuda = self._cuda = open_cuda(self.folder.path)
        self._work: SimpleQueue[tuple[int, Slot, int, float] | None] = SimpleQueue()
        self._all: list[Slot] = []
        self._network: Network | None = None
        try:
            self._prepare(cuda)
        except BaseException as error:
            self._release(error)
            raise
        self._free = deque(self._all)
        self._thread = threading.Thread(target=self._serve, name="cuda-answers", daemon=True)
        self._thread.start()

    def _prepare(self, cuda: Cuda) -> None:
        """Allocate everything; after a failure `_release` frees what was allocated."""
        self.gpu = cuda.gpu()
        self._check_gpu()
        self._streams = tuple(cuda.stream() for _ in range(3))
        self._sizes = captured_sizes(self.manifest.max_batch)
        self.slots = self.settings.slots or SLOTS
        # Must live as long as the graphs: a graph holds no reference to what it was captured from.
        self._network = self._load(cuda)
        for _ in range(self.slots):
            self._make_slot(self._network)

    def _make_slot(self, network: Network) -> None:
        """Add a slot with one graph per batch size.

        Each graph runs once here, so that the first batch is not slower.
        """
        cuda, manifest = self._cuda, self.manifest
        frames = (manifest.max_batch, manifest.height, manifest.width)
        outputs = {name: (manifest.max_batch, *shape) for name, shape in self.outputs().items()}
        slot = Slot(
            frames=cuda.pinned(frames),
            kind=cuda.pinned(outputs["kind"]),
            score=cuda.pinned(outputs["score"]),
            frame=cuda.pinned(outputs["frame"]) if "frame" in outputs else None,
            device=DeviceBuffers(*(cuda.memory(math.prod(shape)) for shape in (frames, *outputs.values()))),
            copied_in=cuda.event(),
            computed=cuda.event(),
            copied_out=cuda.event(),
        )
        self._all.append(slot)
        compute = self._streams[1]
        for size in self._sizes:
            enqueue = network.bind(slot.device, size, int(compute))
            enqueue(int(compute))
            cuda.synchronise(compute)
            launch = self._own_launch(enqueue) if network.graphs_itself else cuda.graph(compute, enqueue)
            launch()
            cuda.synchronise(compute)
            slot.launches[size] = launch

    def _own_launch(self, enqueue: Enqueue) -> Callable[[], None]:
        stream = int(self._streams[1])
        return lambda: enqueue(stream)

    def lay(self, frames: Sequence[Pixels]) -> Pixels | None:
        """Copy the frames into the next slot's pinned memory.

        Registered frames are copied to the device one by one instead.
        """
        slot = self._free[0]
        place = slot.frames[: len(frames)]
        if self.settings.register_frames and all(map(self._registered, frames)):
            slot.apart = tuple(frames)
        else:
            np.stack(frames, out=place)
        return place

    def _registered(self, frame: Pixels) -> bool:
        """Return whether the frame lies in shared memory; registers the whole memory at its first frame."""
        memory = frame.base
        owner: object = None if memory is None else memory.base  # a memoryview, which numpy's types do not declare
        if memory is None or not isinstance(owner, memoryview) or not isinstance(owner.obj, mmap.mmap):
            return False
        self._cuda.register(memory)
        return True

    def _submit(self, ticket: int, frames: Pixels) -> None:
        started = time.perf_counter()
        slot = self._free.popleft()
        try:
            self._enqueue(slot, frames)
        except DeviceError as error:
            raise self._named(error) from None
        self._work.put((ticket, slot, len(frames), started))

    def _enqueue(self, slot: Slot, frames: Pixels) -> None:
        cuda, (into, compute, out), count = self._cuda, self._streams, len(frames)
        # The slot's previous answer is out, so its copies are complete and its buffers are free to overwrite.
        if frames.ctypes.data != slot.frames.ctypes.data:
            np.copyto(slot.frames[:count], frames)
        if slot.apart:
            for at, frame in enumerate(slot.apart):
                cuda.copy_in(slot.device.frames + at * frame.nbytes, frame, into)
            slot.apart = ()
        else:
            cuda.copy_in(slot.device.frames, slot.frames[:count], into)
        cuda.record(slot.copied_in, into)
        cuda.wait_on_device(compute, slot.copied_in)
        # Frames beyond `count` belong to an earlier batch: they are computed and never copied out.
        slot.launches[self._sizes[bisect_left(self._sizes, count)]]()
        cuda.record(slot.computed, compute)
        cuda.wait_on_device(out, slot.computed)
        cuda.copy_out(slot.kind[:count], slot.device.kind, out)
        cuda.copy_out(slot.score[:count], slot.device.score, out)
        if slot.frame is not None:
            cuda.copy_out(slot.frame[:count], slot.device.frame, out)
        cuda.record(slot.copied_out, out)

    def _serve(self) -> None:
        """Answer batches in the order of submission; batches cannot overtake each other."""
        try:
            self._cuda.select()
            while (work := self._work.get()) is not None:
                ticket, slot, count, started = work
                self._cuda.wait(slot.copied_out)
                kind, score = slot.kind[:count].copy(), slot.score[:count].copy()
                frame = None if slot.frame is None else slot.frame[:count].copy()
                self._free.append(slot)
                self._answer(Answer(ticket, kind, score, (time.perf_counter() - started) * 1e3, frame=frame))
        except DeviceError as error:
            self._fail(self._named(error))

    def _named(self, error: DeviceError) -> DeviceError:
        return DeviceError(f"{self.folder.identity} on {self.gpu.name}: {error}")

    def _close(self) -> None:
        self._work.put(None)
        self._thread.join()
        self._release()

    def _release(self, error: BaseException | None = None) -> None:
        """Release graphs, then the network, then the memory it uses; `error` is the exception that opening raised.

        After a sticky error nothing is destroyed: a destructor that calls a lost device may hang, or end the
        process before it reports the cause.
        """
        network, self._network = self._network, None
        if not self._cuda.works():
            leak((network, self._all, error and error.__traceback__))
        else:
            # The exception's stack frames still hold half-opened objects.
            while error is not None:
                traceback.clear_frames(error.__traceback__)
                error = error.__context__
            for slot in self._all:
                slot.launches.clear()
            self._cuda.drop_graphs()
            if network is not None:
                network.close()
        del network
        self._cuda.close()

    def device(self) -> str:
        """Return the GPU's name and the precision."""
        precision = "int8 and fp16" if self.manifest.precision == "int8" else self.manifest.precision
        return f"{self.gpu.name}, {precision}"

    def versions(self) -> dict[str, str]:
        """Return GPU, compute capability, driver and runtime."""
        return self.gpu.versions()

    def _check(self) -> None:
        """Check the manifest against the installed software before touching the GPU; raises EngineError."""

    def _check_gpu(self) -> None:
        """Check the manifest against this GPU before deserialising anything; raises EngineError."""

    @abstractmethod
    def _load(self, cuda: Cuda) -> Network:
        """Deserialise the network; raises EngineError."""
