"""Batches through a GPU: copies in and out overlap the computing, nothing is allocated once it runs.

Three streams, in the order of a batch's way: in, compute, out. A slot is one batch's place on that way, with
buffers and events of its own, so that batch n+1 comes in and n-1 goes out while n is computed. The network is a
seam of one method: it binds itself to a slot's buffers and is then a callable that enqueues on a stream.
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
"""One batch coming in, one computed, one going out."""

Enqueue = Callable[[int], None]
"""Enqueues one inference on the stream of this address and returns at once; raises DeviceError."""


@dataclass(frozen=True, slots=True)
class DeviceBuffers:
    """Addresses of one slot's buffers, each for a whole largest batch: uint8 frames, kind and score."""

    frames: int
    kind: int
    score: int


class Network(Protocol):
    """What computes between the buffers."""

    graphs_itself: bool
    """Whether its enqueue already is one graph launch: then the plumbing records none."""

    def bind(self, buffers: DeviceBuffers, frames: int, stream: int) -> Enqueue:
        """An inference of exactly `frames` frames between these buffers; it may warm up on `stream`."""

    def close(self) -> None:
        """Give back everything, newest first. Nothing runs any more, and the buffers are still there."""


@dataclass(slots=True)
class Slot:
    """One batch's place: everything in it is taken when the engine is opened, and used again and again."""

    frames: Pixels
    kind: Pixels
    score: Pixels
    """Pinned host memory, a largest batch each."""
    device: DeviceBuffers
    copied_in: Handle
    computed: Handle
    copied_out: Handle
    apart: tuple[Pixels, ...] = ()
    """Frames of the batch that is about to be submitted, where they do not lie in `frames`."""
    launches: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Captured batch size → what starts it."""


def captured_sizes(max_batch: int) -> list[int]:
    """Batch sizes with a graph of their own: powers of two and the largest. Others are padded to the next."""
    sizes = [2**power for power in range(max_batch.bit_length()) if 2**power <= max_batch]
    return sizes if sizes[-1] == max_batch else [*sizes, max_batch]


class CudaBackend(Backend):
    """A backend on a GPU; it has only to bring the network."""

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
        """Take everything; what fails half-way leaves the rest to `_release`."""
        self.gpu = cuda.gpu()
        self._check_gpu()
        self._streams = tuple(cuda.stream() for _ in range(3))
        self._sizes = captured_sizes(self.manifest.max_batch)
        self.slots = self.settings.slots or SLOTS
        # Held as long as the graphs, which do not hold what they were captured from.
        self._network = self._load(cuda)
        for _ in range(self.slots):
            self._make_slot(self._network)

    def _make_slot(self, network: Network) -> None:
        """A slot with one graph a batch size; each has run, so that a coil's first frame is no slower."""
        cuda, manifest = self._cuda, self.manifest
        frames = (manifest.max_batch, manifest.height, manifest.width)
        maps = (manifest.max_batch, manifest.map_height, manifest.map_width)
        slot = Slot(
            frames=cuda.pinned(frames),
            kind=cuda.pinned(maps),
            score=cuda.pinned(maps),
            device=DeviceBuffers(*(cuda.memory(math.prod(shape)) for shape in (frames, maps, maps))),
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
        """In the next slot's pinned memory; registered frames stay where they are, and are copied one by one."""
        slot = self._free[0]
        place = slot.frames[: len(frames)]
        if self.settings.register_frames and all(map(self._registered, frames)):
            slot.apart = tuple(frames)
        else:
            np.stack(frames, out=place)
        return place

    def _registered(self, frame: Pixels) -> bool:
        """Whether the frame lies in shared memory, which is registered whole when its first frame comes."""
        memory = frame.base
        owner: object = None if memory is None else memory.base  # a memoryview, which numpy's types do not know
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
        # The slot's last answer was given, so all its copies are done: nothing that is written here is still read.
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
        # Frames beyond `count` are an earlier batch's: computed, never copied out.
        slot.launches[self._sizes[bisect_left(self._sizes, count)]]()
        cuda.record(slot.computed, compute)
        cuda.wait_on_device(out, slot.computed)
        cuda.copy_out(slot.kind[:count], slot.device.kind, out)
        cuda.copy_out(slot.score[:count], slot.device.score, out)
        cuda.record(slot.copied_out, out)

    def _serve(self) -> None:
        """Waits for batches in the order they were given; they cannot overtake each other."""
        try:
            self._cuda.select()
            while (work := self._work.get()) is not None:
                ticket, slot, count, started = work
                self._cuda.wait(slot.copied_out)
                kind, score = slot.kind[:count].copy(), slot.score[:count].copy()
                self._free.append(slot)
                self._answer(Answer(ticket, kind, score, (time.perf_counter() - started) * 1e3))
        except DeviceError as error:
            self._fail(self._named(error))

    def _named(self, error: DeviceError) -> DeviceError:
        return DeviceError(f"{self.folder.identity} on {self.gpu.name}: {error}")

    def _close(self) -> None:
        self._work.put(None)
        self._thread.join()
        self._release()

    def _release(self, error: BaseException | None = None) -> None:
        """Graphs go first, then the network, then the memory it computes in; `error` is what opening failed with.

        After a sticky error nothing of it is destroyed: a destructor that calls a lost device may hang, or end the
        process before it has said why.
        """
        network, self._network = self._network, None
        if not self._cuda.works():
            leak((network, self._all, error and error.__traceback__))
        else:
            # What is half opened lives in the frames that the error came through.
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
        """The GPU's name and the precision."""
        precision = "int8 and fp16" if self.manifest.precision == "int8" else self.manifest.precision
        return f"{self.gpu.name}, {precision}"

    def versions(self) -> dict[str, str]:
        """GPU, compute capability, driver and runtime."""
        return self.gpu.versions()

    def _check(self) -> None:
        """Before the GPU is touched: raises EngineError when the manifest does not fit what is installed."""

    def _check_gpu(self) -> None:
        """Before anything is deserialised: raises EngineError when the manifest does not fit this GPU."""

    @abstractmethod
    def _load(self, cuda: Cuda) -> Network:
        """Deserialise the network; raises EngineError."""
