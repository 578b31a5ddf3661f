"""The one interface of every backend: batches go in with a ticket, answers come out when they are ready.

The base class owns the life-cycle and all checks; a backend writes only the four methods at the bottom.
"""

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import numpy as np

from inspector.engine import golden
from inspector.engine.manifest import EngineFolder
from inspector.errors import DeviceError, EngineError
from inspector.rules import score_thresholds
from inspector.values import Pixels

GATHER_S: Final = 0.01
"""While the engine has enough to do, answers that come sooner after each other are told of together: waking a loop
costs a busy CPU more than what the loop does then."""


class Answer(msgspec.Struct, frozen=True):
    """What came of one submitted batch: maps, or the error that took their place."""

    ticket: int
    kind: Pixels | None
    """uint8 [N, H/m, W/m]; None with an error."""
    score: Pixels | None
    """uint8 [N, H/m, W/m]; None with an error."""
    engine_ms: float
    """Submission to answer."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """What may differ from PC to PC for the same engine."""

    cache_dir: Path | None = None
    """Where a backend keeps what it compiled for this PC."""
    threads: int | None = None
    """CPU threads; None leaves it to the backend."""
    slots: int | None = None
    """Batches in flight; None leaves it to the backend."""
    register_frames: bool = False
    """A GPU takes frames from the memory that they share with ingest, which is page-locked for it."""


DEFAULT_SETTINGS: Final = BackendSettings()


class Backend(ABC):
    """A deserialised engine. Use as a context manager; nothing touches the device before `__enter__`."""

    queues = False
    """Batches beyond those at work wait in a queue, and cost nothing there."""

    def __init__(self, folder: EngineFolder, settings: BackendSettings = DEFAULT_SETTINGS) -> None:
        self.folder = folder
        self.manifest = folder.manifest
        self.settings = settings
        self.slots = 1
        """Batches that may be in flight at once; set by `_open`."""
        self.seconds_a_frame = 0.0
        """At full speed on this PC; known once `verify_golden` has passed."""
        self._answers: deque[Answer] = deque()
        self._failure: DeviceError | None = None
        self._in_flight = 0
        self._ready = threading.Condition()
        self._told = False
        self._told_s = 0.0
        self._together, self._gather_s = 0, GATHER_S
        self._event = -1

    def __enter__(self) -> Self:
        """Load the engine; raises EngineError when it cannot run here."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._open()
        except BaseException:
            self._close_event()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is in flight, then release the device."""
        self._close()
        self._close_event()

    def _close_event(self) -> None:
        os.close(self._event)
        self._event = -1

    def fileno(self) -> int:
        """A descriptor that polls readable while `collect` has something to give."""
        return self._event

    def tell_together(self, batches: int, seconds: float) -> None:
        """Tell of so many answers at a time while there is enough to do besides, and of none later than `seconds`.

        So many batches more may then be in flight. Does nothing where each would need memory of its own.
        """
        if self.queues and self.settings.slots is None:
            self.slots += batches
            self._together, self._gather_s = batches, seconds

    @property
    def in_flight(self) -> int:
        """Batches submitted and not yet collected."""
        return self._in_flight

    def lay(self, frames: Sequence[Pixels]) -> Pixels | None:  # noqa: ARG002 (for backends that have a place)
        """Lay the next batch, uint8 [H, W] each, where the device takes it from; give `submit` what this returns.

        Only while a slot is free, and right before that `submit`. None: the backend has no such place, and takes
        frames from anywhere.
        """
        return None

    def submit(self, ticket: int, frames: Pixels) -> None:
        """Start one batch, uint8 [N, H, W]; `frames` must stay untouched until its answer is collected.

        Raises ValueError for a batch the engine does not take, RuntimeError when all slots are in use.
        """
        size = (self.manifest.height, self.manifest.width)
        if frames.dtype != np.uint8 or frames.ndim != 3 or frames.shape[1:] != size:
            raise ValueError(f"engine takes uint8 frames of {size}, got {frames.dtype} {frames.shape}")
        if not self.manifest.min_batch <= len(frames) <= self.manifest.max_batch:
            raise ValueError(
                f"engine takes {self.manifest.min_batch} to {self.manifest.max_batch} frames a batch, "
                f"got {len(frames)}"
            )
        if self._in_flight >= self.slots:
            raise RuntimeError(f"all {self.slots} slots are in use: collect first")
        self._in_flight += 1
        self._submit(ticket, frames)

    def collect(self) -> list[Answer]:
        """All answers that are ready, without waiting, in the order they became ready.

        Raises DeviceError once the device is lost and every answer it still gave was collected.
        """
        with self._ready:
            answers = list(self._answers)
            self._answers.clear()
            if self._failure is not None and not answers:
                raise self._failure
            if self._told and self._failure is None:
                os.eventfd_read(self._event)
                self._told = False
        self._in_flight -= len(answers)
        return answers

    def wait(self) -> list[Answer]:
        """Like `collect`, but waits until `fileno` would poll readable; nothing in flight gives an empty list."""
        if self._in_flight == 0:
            return []
        with self._ready:
            self._ready.wait_for(lambda: self._told or self._failure is not None)
        return self.collect()

    def infer(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """Run any number of frames, uint8 [N, H, W], and wait: (kind, score), uint8 [N, H/m, W/m] each.

        For checks, builds and evaluation. Raises EngineError when a batch fails.
        """
        size = self.manifest.max_batch
        starts = deque(range(0, len(frames), size))
        shape = (len(frames), self.manifest.map_height, self.manifest.map_width)
        kind, score = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        while starts or self._in_flight:
            while starts and self._in_flight < self.slots:
                start = starts.popleft()
                self.submit(start, frames[start : start + size])
            for answer in self.wait():
                if answer.kind is None or answer.score is None:
                    raise EngineError(f"{self.folder.identity} failed on a batch: {answer.error}")
                kind[answer.ticket : answer.ticket + len(answer.kind)] = answer.kind
                score[answer.ticket : answer.ticket + len(answer.score)] = answer.score
        return kind, score

    def verify_golden(self) -> golden.Agreement:
        """Run the golden frames, then once more for the engine's speed.

        Raises EngineError when the maps stray further than the manifest allows.
        """
        expected = golden.load_checked(self.folder)
        kind, score = self.infer(expected.frames)
        steps = score_thresholds(self.manifest.classes, self.manifest.thresholds)
        agreement = golden.compare(expected, kind, score, steps)
        if not agreement.within(self.manifest.golden):
            raise EngineError(
                f"{self.folder.path}: golden frames differ on this PC: mask agreement "
                f"{agreement.mask_agreement:.4f} (needs {self.manifest.golden.mask_agreement}), mean score "
                f"difference {agreement.mean_score_difference:.2f}/255: build the engine again on this PC"
            )
        started_s = time.perf_counter()
        self.infer(expected.frames)
        self.seconds_a_frame = (time.perf_counter() - started_s) / len(expected.frames)
        return agreement

    def _answer(self, answer: Answer) -> None:
        """A backend calls this, from any thread, once for every submitted batch."""
        with self._ready:
            self._answers.append(answer)
            now_s = time.monotonic()
            wants_more = self._in_flight - len(self._answers) <= (self.slots - self._together) // 2
            if not self._told and (wants_more or now_s - self._told_s >= self._gather_s):
                os.eventfd_write(self._event, 1)
                self._told, self._told_s = True, now_s
                self._ready.notify()

    def _fail(self, error: DeviceError) -> None:
        """A backend calls this, from any thread, when its device is lost: batches in flight get no answer."""
        with self._ready:
            os.eventfd_write(self._event, 1)  # stays readable: the loop that sleeps on it must hear of this
            self._failure = error
            self._ready.notify()

    @abstractmethod
    def _open(self) -> None:
        """Load the engine and set `slots`; raises EngineError."""

    @abstractmethod
    def _submit(self, ticket: int, frames: Pixels) -> None:
        """Start one checked batch and see that `_answer` is called once for it, also when it fails."""

    @abstractmethod
    def _close(self) -> None:
        """Wait for what is in flight and release everything."""

    @abstractmethod
    def device(self) -> str:
        """What it runs on and in which precision, for logs and reports."""

    def versions(self) -> dict[str, str]:
        """What a bug report must tell: the libraries and devices it runs on, as the manifest names them."""
        return {}
