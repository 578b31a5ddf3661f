"""worker: gathers frames into batches, keeps the engine busy, and says of each frame what was seen."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
import zmq

from inspector.backends import Answer, Backend, open_backend
from inspector.config import LoadedConfig
from inspector.engine.manifest import open_folder
from inspector.errors import WireError
from inspector.processes.notify import READY, Notifier
from inspector.processes.sending import send, set_retry
from inspector.processes.stop import StopRequest
from inspector.recipe import load_recipe
from inspector.stages.batching import Batcher
from inspector.values import Batch, Frame, Inspection, Segmentation, Working
from inspector.wire.links import FRAMES, RESULTS, open_context, open_receiver, open_sender
from inspector.wire.messages import decode_frame, encode_result

RESULTS_LINGER_MS: Final = 1000

DRAIN_QUIET_MS: Final = 50
"""After a stop was asked for, the link counts as empty when nothing came for this long."""

DEADLINE_MARGIN: Final = 0.1
"""Share of the deadline kept for the way to the verdict: a result that misses it by a hair was for nothing."""

TOO_LATE: Final = "shed: too old to be inspected before its deadline"

log = structlog.get_logger()

Socket = zmq.Socket[bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """A frame in the worker's hands."""

    frame: Frame
    received_ns: int
    view: bool


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch in the engine."""

    held: list[Held]
    batch: Batch
    submitted_ns: int


class Worker:
    """The worker's state: frames that wait, batches in the engine."""

    def __init__(
        self,
        backend: Backend,
        lowest_step: int,
        batcher: Batcher[Held],
        results: Socket,
        stop: StopRequest,
        deadline_ns: int,
    ) -> None:
        self._backend = backend
        self._engine = backend.folder.identity
        self._size = (backend.manifest.height, backend.manifest.width)
        self._stride = backend.manifest.map_stride
        self._lowest_step = lowest_step
        self._deadline_ns = deadline_ns
        self._engine_ns = 0
        """What the last batch took."""
        self._batcher = batcher
        self._results = results
        self._stop = stop
        self._started_ns = time.monotonic_ns()
        self._in_flight: dict[int, InFlight] = {}
        self._ticket = 0
        self.refused = 0
        self.failed_batches = 0
        self.unsent = 0

    @property
    def has_room(self) -> bool:
        """Whether another frame may be taken: one batch waits while the slots are full, the rest on the link."""
        return len(self._batcher) < self._batcher.max_frames

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in the engine."""
        return not self._in_flight and not len(self._batcher)

    def take(self, parts: list[zmq.Frame]) -> None:
        """One message from the frames link."""
        now_ns = time.monotonic_ns()
        try:
            header, frame = decode_frame([part.buffer for part in parts])
        except WireError as error:
            self.refused += 1
            log.warning("frame message refused", error=str(error), refused=self.refused)
            return
        held = Held(frame, now_ns, header.view)
        if frame.pixels.shape != self._size:
            height, width = frame.pixels.shape
            fault = f"frame is {height}×{width}, the engine takes {self._size[0]}×{self._size[1]}"
            self._report(held, Inspection(self._engine, now_ns, now_ns, now_ns, fault=fault))
            return
        self._batcher.add(held, now_ns)

    def submit(self, *, flush: bool = False) -> None:
        """Fill the engine's free slots with whatever batch is due."""
        while self._backend.in_flight < self._backend.slots:
            now_ns = time.monotonic_ns()
            waiting = self._batcher.take(now_ns, flush=flush)
            if not waiting:
                return
            held = [each for each in waiting if self._in_time(each, now_ns)]
            if not held:
                continue
            frames = tuple(each.frame for each in held)
            pixels = frames[0].pixels[np.newaxis] if len(frames) == 1 else np.stack([f.pixels for f in frames])
            self._ticket += 1
            self._in_flight[self._ticket] = InFlight(held, Batch(frames, pixels), now_ns)
            self._backend.submit(self._ticket, pixels)

    def _in_time(self, held: Held, now_ns: int) -> bool:
        """Whether the frame can still make its deadline; if not it is reported, and the engine's time goes to
        one that can."""
        left_ns = held.frame.clock_ns + int(self._deadline_ns * (1 - DEADLINE_MARGIN)) - now_ns
        if left_ns >= self._engine_ns:
            return True
        if left_ns > 0:
            # Only the guess speaks against it: one slow batch must not shed the strip for ever.
            self._engine_ns //= 2
        self._report(held, Inspection(self._engine, held.received_ns, now_ns, now_ns, fault=TOO_LATE))
        return False

    def due_in_ms(self) -> int | None:
        """How long the loop may sleep before a batch is due; None for as long as it likes."""
        due_ns = self._batcher.due_ns()
        if due_ns is None or self._backend.in_flight >= self._backend.slots:
            return None
        return max(0, -(-(due_ns - time.monotonic_ns()) // 1_000_000))

    def collect(self) -> None:
        """Report every batch the engine has finished."""
        for answer in self._backend.collect():
            flight = self._in_flight.pop(answer.ticket)
            self._engine_ns = time.monotonic_ns() - flight.submitted_ns
            for held, inspection in zip(flight.held, self._inspections(flight, answer), strict=True):
                self._report(held, inspection)

    def _inspections(self, flight: InFlight, answer: Answer) -> Iterator[Inspection]:
        now_ns = time.monotonic_ns()
        if answer.error is not None:
            self.failed_batches += 1
            log.error(
                "batch failed",
                error=answer.error,
                frames=len(flight.held),
                first=flight.held[0].frame.frame_id,
            )
        working = Working(self._started_ns, len(flight.held), len(self._batcher))
        for index, held in enumerate(flight.held):
            times = (held.received_ns, flight.submitted_ns, now_ns)
            if answer.kind is None or answer.score is None:
                yield Inspection(self._engine, *times, fault=f"engine failed: {answer.error}", working=working)
                continue
            score = answer.score[index]
            if held.view or score.max() >= self._lowest_step:
                maps = Segmentation(answer.kind[index], score, self._stride)
                pixels = held.frame.pixels
                yield Inspection(self._engine, *times, segmentation=maps, pixels=pixels, working=working)
            else:
                yield Inspection(self._engine, *times, working=working)

    def _report(self, held: Held, inspection: Inspection) -> None:
        parts = encode_result(held.frame.camera, held.frame.frame_id, inspection)
        if not send(self._results, parts, self._stop, copy=len(parts) == 1):
            self.unsent += 1
            log.error("result not taken by decide", camera=held.frame.camera, frame=held.frame.frame_id)


def main(config: LoadedConfig) -> None:
    """Run until a stop is asked for. Raises InputError before the first frame is taken."""
    line = config.line
    folder = open_folder(line.engine)
    recipe = load_recipe(line.recipe).bind(folder.manifest)
    structlog.contextvars.bind_contextvars(engine=folder.identity)
    notifier = Notifier()
    backend = open_backend(
        folder, cache_dir=line.backend.cache, threads=line.backend.threads, slots=line.backend.slots
    )
    with StopRequest() as stop, backend, open_context() as context:
        backend.verify_golden()
        batcher: Batcher[Held] = Batcher(
            min(line.batch.max_frames, folder.manifest.max_batch), int(line.batch.max_wait_ms * 1e6)
        )
        results = open_sender(context, RESULTS, line.links, linger_ms=RESULTS_LINGER_MS)
        set_retry(results)
        frames = open_receiver(context, FRAMES, line.links, list(line.cameras))
        worker = Worker(backend, recipe.lowest_step, batcher, results, stop, int(line.deadline_ms * 1e6))
        notifier.tell(**{READY: "1"})
        log.info("worker started", device=backend.device(), slots=backend.slots, max_batch=batcher.max_frames)
        _serve(worker, backend, frames, stop)
        log.info(
            "worker ended", refused=worker.refused, failed_batches=worker.failed_batches, unsent=worker.unsent
        )


def _serve(worker: Worker, backend: Backend, frames: Socket, stop: StopRequest) -> None:
    poller = zmq.Poller()
    poller.register(backend.fileno(), zmq.POLLIN)
    poller.register(stop.fileno(), zmq.POLLIN)
    listening = False
    while True:
        if listening != worker.has_room:
            listening = worker.has_room
            if listening:
                poller.register(frames, zmq.POLLIN)
            else:
                poller.unregister(frames)
        timeout_ms = DRAIN_QUIET_MS if stop else worker.due_in_ms()
        ready = dict(poller.poll(timeout_ms))
        worker.collect()
        took = False
        while worker.has_room:
            try:
                parts = frames.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            took = True
            worker.take(parts)
            worker.submit()
        worker.submit(flush=bool(stop))
        if stop:
            if stop.fileno() in ready:
                poller.unregister(stop.fileno())
            elif not took and worker.idle:
                return
