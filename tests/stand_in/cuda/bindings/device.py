"""The stand-in's device: memory on the host, streams that are threads, and a judge of how they are used."""

import ctypes
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np

DELAY_MS = float(os.environ.get("STAND_IN_CUDA_DELAY_MS", "0.2"))
"""Longest random delay before a copy or kernel runs: what is not ordered by events soon shows."""

ALIGNMENT = 256
"""cudaMalloc's."""

Range = tuple[int, int]
"""First address and the one after the last."""


class Misuse(Exception):
    """What CUDA would call undefined behaviour, or answer by an illegal address."""


@dataclass
class Operation:
    """A copy or kernel, with the memory it touches."""

    name: str
    reads: list[Range]
    writes: list[Range]
    run: Callable[[], None]


@dataclass
class Event:
    """`happened` is that of its last recording; an event never recorded counts as happened."""

    happened: threading.Event | None = None


@dataclass
class Stream:
    """Runs its work in order, in a separate thread."""

    device: "Device"
    work: SimpleQueue = field(default_factory=SimpleQueue)
    captured: list[Operation] | None = None
    """While a graph is recorded: its operations."""
    invalid: bool = False
    """Something failed during the capture."""

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def give(self, operation: Operation) -> None:
        if self.captured is not None:
            self.captured.append(operation)
        else:
            self.work.put(lambda: self.device.run(operation))

    def record(self, event: Event) -> None:
        happened = threading.Event()
        event.happened = happened
        self.work.put(happened.set)

    def wait_for(self, event: Event) -> None:
        happened = event.happened
        if happened is not None:
            self.work.put(happened.wait)

    def synchronise(self) -> None:
        event = Event()
        self.record(event)
        assert event.happened is not None
        event.happened.wait()

    def end(self) -> None:
        self.work.put(None)
        self.thread.join()

    def _serve(self) -> None:
        while (step := self.work.get()) is not None:
            if self.device.fault is None or step.__name__ in ("set", "wait"):
                step()


class Device:
    """Allocations and what is being done to them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.allocations: dict[int, np.ndarray] = {}
        self.registered: dict[int, np.ndarray] = {}
        """The program's own memory, page-locked."""
        self.sizes: dict[int, int] = {}
        """Of what lies on the device."""
        self.active: list[Operation] = []
        self.fault: Misuse | None = None
        """The first misuse an operation showed; sticky, as on a GPU."""

    def on_device(self) -> int:
        return sum(self.sizes.values())

    def register(self, address: int, size: int) -> bool:
        memory = np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)
        with self.lock:
            if address in self.registered:
                return False
            self.registered[address] = memory
        return True

    def unregister(self, address: int) -> bool:
        with self.lock:
            if address in self.registered and self._in_use(address, self.registered):
                raise Misuse(f"{address:#x} was unregistered while a stream uses it")
            return self.registered.pop(address, None) is not None

    def allocate(self, size: int, *, on_device: bool = False) -> int:
        memory = np.full(size + ALIGNMENT, 0xA5, np.uint8)  # never zero by luck
        address = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        with self.lock:
            self.allocations[address] = memory[address - memory.ctypes.data :][:size]
            if on_device:
                self.sizes[address] = size
        return address

    def free(self, address: int) -> None:
        with self.lock:
            if address not in self.allocations:
                raise Misuse(f"free of {address:#x}, which is not held: freed twice, or never allocated")
            if self._in_use(address, self.allocations):
                raise Misuse(f"free of {address:#x} while a stream uses it")
            del self.allocations[address]
            self.sizes.pop(address, None)

    def view(self, address: int, size: int) -> np.ndarray:
        """The bytes there; raises Misuse beyond what is allocated."""
        with self.lock:
            for start, memory in (*self.allocations.items(), *self.registered.items()):
                if start <= address and address + size <= start + len(memory):
                    return memory[address - start :][:size]
        raise Misuse(f"{size} bytes at {address:#x} are not allocated")

    def run(self, operation: Operation) -> None:
        """Carry it out, late; two at once on the same memory, one of them writing, are a race."""
        try:
            for start, end in _touched(operation):
                self.view(start, end - start)
            with self.lock:
                for other in self.active:
                    self._check_race(operation, other)
                self.active.append(operation)
            try:
                time.sleep(random.uniform(0, DELAY_MS) / 1e3)
                operation.run()
            finally:
                with self.lock:
                    self.active.remove(operation)
        except Misuse as misuse:
            self.fault = self.fault or misuse

    def _in_use(self, address: int, held: dict[int, np.ndarray]) -> bool:
        mine = (address, address + len(held[address]))
        return any(_overlap(each, mine) for busy in self.active for each in _touched(busy))

    @staticmethod
    def _check_race(one: Operation, other: Operation) -> None:
        for writer, toucher in ((one, other), (other, one)):
            for written in writer.writes:
                if any(_overlap(written, each) for each in _touched(toucher)):
                    raise Misuse(f"{one.name} and {other.name} touch the same memory at the same time")


def _touched(operation: Operation) -> list[Range]:
    return [*operation.reads, *operation.writes]


def _overlap(one: Range, other: Range) -> bool:
    return one[0] < other[1] and other[0] < one[1]
