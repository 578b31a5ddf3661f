"""The interface of every backend: submit a batch with a ticket, collect the answer when it is ready.

The base class owns the life cycle and all checks. A backend implements only the abstract methods at the bottom.
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

import cv2
import msgspec
import numpy as np

from inspector.core.rules import score_thresholds, threshold_maps
from inspector.engine import golden
from inspector.engine.manifest import EngineFolder
from inspector.errors import DeviceError, EngineError
from inspector.values import Pixels

GATHER_S: Final = 0.01
"""Shortest pause between two wake-ups while the engine is busy, seconds. Answers that arrive sooner are coalesced:
on a busy CPU, waking a loop costs more than the work it then does."""


class Answer(msgspec.Struct, frozen=True):
    """The result of one submitted batch: maps, or the error that replaces them."""

    ticket: int
    kind: Pixels | None
    """uint8 [N, H/m, W/m]; None after an error."""
    score: Pixels | None
    """uint8 [N, H/m, W/m]; None after an error."""
    engine_ms: float
    """Time the engine took, ms. GPU backends measure from `submit`; CPU backends measure from the start of the
    inference, without the time the batch was queued."""
    error: str | None = None
    frame: Pixels | None = None
    """Frame scores, uint8 [N]; None after an error, and for an engine without them."""


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Settings that may differ between PCs for the same engine."""

    cache_dir: Path | None = None
    """Folder in which a backend keeps what it compiles for this PC."""
    threads: int | None = None
    """CPU threads; None leaves the choice to the backend."""
    slots: int | None = None
    """Batches in flight; None leaves the choice to the backend."""
    register_frames: bool = False
    """Whether a GPU copies frames directly from the memory it shares with ingest. The backend page-locks that
    memory."""


DEFAULT_SETTINGS: Final = BackendSettings()


class Backend(ABC):
    """A deserialised engine. Use it as a context manager; nothing touches the device before `__enter__`."""

    queues = False
    """Whether batches beyond those being computed wait in a queue, without memory of their own on the device."""

    def __init__(self, folder: EngineFolder, settings: BackendSettings = DEFAULT_SETTINGS) -> None:
        self.folder = folder
        self.manifest = folder.manifest
        self.settings = settings
        self.slots = 1
        """Batches that may be in flight at once; `_open` sets it."""
        self.proof: golden.Golden
        """A batch of the golden frame with most defects, and its maps on this PC; `verify_golden` sets it."""
        self.seconds_a_frame = 0.0
        """Seconds per frame at full speed on this PC; 0 until `verify_golden` has passed."""
        self._answers: deque[Answer] = deque()
        self._failure: DeviceError | None = None
        self._in_flight = 0
        self._frames: dict[int, int] = {}
        """Ticket → frames of each batch in flight."""
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
        """Wait for the batches in flight, then release the device."""
        self._close()
        self._close_event()

    def _close_event(self) -> None:
        os.close(self._event)
        self._event = -1

    def fileno(self) -> int:
        """Return a descriptor that polls readable while `collect` has answers."""
        return self._event

    def coalesce(self, batches: int, seconds: float) -> None:
        """Coalesce about `batches` answers into one wake-up while the engine has enough other work.

        An answer that arrives `seconds` or more after the previous wake-up causes a wake-up at once. Raises
        `slots` by `batches`. Does nothing when the backend has no queue or when the settings fix `slots`.
        """
        if self.queues and self.settings.slots is None:
            self.slots += batches
            self._together, self._gather_s = batches, seconds

    @property
    def in_flight(self) -> int:
        """Batches submitted and not yet collected."""
        return self._in_flight

    def lay(self, frames: Sequence[Pixels]) -> Pixels | None:  # noqa: ARG002 (for backends that override it)
        """Place the frames of the next batch, uint8 [H, W] each, in the device's input memory.

        Pass the returned array to `submit`. Call this only while a slot is free, directly before that `submit`.
        Returns None when the backend has no such memory and takes frames from anywhere.
        """
        return None

    def submit(self, ticket: int, frames: Pixels) -> None:
        """Start one batch, uint8 [N, H, W]; `frames` must not change until its answer is collected.

        Raises ValueError for a batch the engine does not accept, RuntimeError when all slots are in use.
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
        self._frames[ticket] = len(frames)
        self._submit(ticket, frames)

    def collect(self) -> list[Answer]:
        """Return all answers that are ready, without waiting, in the order in which they became ready.

        Raises DeviceError when the device is lost and all earlier answers have been collected.
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
        return [self._checked(answer) for answer in answers]

    def _checked(self, answer: Answer) -> Answer:
        """The answer, or an error in place of maps that do not cover the batch: a part would pass unseen."""
        shape = (self._frames.pop(answer.ticket), self.manifest.map_height, self.manifest.map_width)
        for plane in (answer.kind, answer.score):
            if plane is not None and (plane.shape != shape or plane.dtype != np.uint8):
                error = f"its maps are {plane.dtype} {plane.shape}, the manifest says uint8 {shape}"
                return Answer(answer.ticket, None, None, answer.engine_ms, error)
        return answer

    def wait(self) -> list[Answer]:
        """Wait until `fileno` polls readable, then collect; returns an empty list when nothing is in flight."""
        if self._in_flight == 0:
            return []
        with self._ready:
            self._ready.wait_for(lambda: self._told or self._failure is not None)
        return self.collect()

    def infer(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """The maps of `answer_all`: (kind, score), uint8 [N, H/m, W/m] each."""
        kind, score, _ = self.answer_all(frames)
        return kind, score

    def answer_all(self, frames: Pixels) -> tuple[Pixels, Pixels, Pixels | None]:
        """Run any number of frames, uint8 [N, H, W], and wait; returns kind, score and frame scores, uint8 [N].

        For checks, builds and evaluation. The last is None for an engine without frame scores. Raises EngineError
        when a batch fails.
        """
        size = self.manifest.max_batch
        starts = deque(range(0, len(frames), size))
        shape = (len(frames), self.manifest.map_height, self.manifest.map_width)
        kind, score = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        frame = np.empty(len(frames), np.uint8) if self.manifest.scores_frames else None
        while starts or self._in_flight:
            while starts and self._in_flight < self.slots:
                start = starts.popleft()
                self.submit(start, frames[start : start + size])
            for answer in self.wait():
                if answer.kind is None or answer.score is None:
                    raise EngineError(f"{self.folder.identity} failed on a batch: {answer.error}")
                kind[answer.ticket : answer.ticket + len(answer.kind)] = answer.kind
                score[answer.ticket : answer.ticket + len(answer.score)] = answer.score
                if frame is not None and answer.frame is not None:
                    frame[answer.ticket : answer.ticket + len(answer.frame)] = answer.frame
        return kind, score, frame

    def verify_golden(self) -> golden.Agreement:
        """Run the golden frames and compare the maps, then run them again to measure the engine's speed.

        Raises EngineError when the maps differ by more than the manifest allows.
        """
        expected = golden.load_checked(self.folder)
        kind, score, frame = self.answer_all(expected.frames)
        thresholds = score_thresholds(self.manifest.classes, self.manifest.thresholds)
        agreement = golden.compare(expected, kind, score, thresholds, frame)
        if not agreement.within(self.manifest.golden):
            raise EngineError(
                f"{self.folder.path}: golden frames differ on this PC: mask agreement "
                f"{agreement.mask_agreement:.4f} (needs {self.manifest.golden.mask_agreement}), mean score "
                f"difference {agreement.mean_score_difference:.2f}/255, largest frame score difference "
                f"{agreement.largest_frame_score_difference}/254: build the engine again on this PC"
            )
        areas = [cv2.countNonZero(each) for each in threshold_maps(expected.kind, expected.score, thresholds)]
        shown = [int(np.argmax(areas))] * self.manifest.min_batch
        frames = None if frame is None else frame[shown]
        self.proof = golden.Golden(expected.frames[shown], kind[shown], score[shown], frames)
        started_s = time.perf_counter()
        self.infer(expected.frames)
        self.seconds_a_frame = (time.perf_counter() - started_s) / len(expected.frames)
        return agreement

    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The engine's outputs, by name, with the shape of one frame's part."""
        maps = (self.manifest.map_height, self.manifest.map_width)
        return {"kind": maps, "score": maps} | ({"frame": ()} if self.manifest.scores_frames else {})

    def check_proof(self, answer: Answer) -> None:
        """Compare the answer to `proof` with the one that `verify_golden` got. Raises DeviceError."""
        why = answer.error
        if answer.kind is not None and answer.score is not None:
            thresholds = score_thresholds(self.manifest.classes, self.manifest.thresholds)
            agreement = golden.compare(self.proof, answer.kind, answer.score, thresholds, answer.frame)
            if agreement.within(self.manifest.golden):
                return
            why = f"mask agreement {agreement.mask_agreement:.4f}"
        raise DeviceError(
            f"{self.folder.path}: the engine no longer finds the defects of its golden frame ({why}): what it "
            "accepted since it last did is not to be trusted"
        )

    def _answer(self, answer: Answer) -> None:
        """Queue an answer. A backend calls this once per submitted batch, from any thread."""
        with self._ready:
            self._answers.append(answer)
            now_s = time.monotonic()
            wants_more = self._in_flight - len(self._answers) <= (self.slots - self._together) // 2
            if not self._told and (wants_more or now_s - self._told_s >= self._gather_s):
                os.eventfd_write(self._event, 1)
                self._told, self._told_s = True, now_s
                self._ready.notify()

    def _fail(self, error: DeviceError) -> None:
        """Report a lost device. A backend calls this from any thread; batches in flight get no answer."""
        with self._ready:
            os.eventfd_write(self._event, 1)  # stays readable: the loop that polls it must collect the failure
            self._failure = error
            self._ready.notify()

    @abstractmethod
    def _open(self) -> None:
        """Load the engine and set `slots`; raises EngineError."""

    @abstractmethod
    def _submit(self, ticket: int, frames: Pixels) -> None:
        """Start one checked batch and ensure that `_answer` is called once for it, even when it fails."""

    @abstractmethod
    def _close(self) -> None:
        """Wait for the batches in flight and release everything."""

    @abstractmethod
    def device(self) -> str:
        """Describe the device and the precision, for logs and reports."""

    def versions(self) -> dict[str, str]:
        """Return the versions of libraries and devices that a bug report needs, under the manifest's names."""
        return {}
