"""Worker state: queued frames, batches in flight, unsent results."""

import contextlib
import time
from functools import partial
from typing import Final

import msgspec
import numpy as np
import structlog
import zmq

from inspector.backends import Answer, Backend
from inspector.core.batching import Batcher
from inspector.core.flow import CHUNK_FRAMES, chunk_s
from inspector.core.tiling import Fit, Maps, Tile
from inspector.errors import WireError
from inspector.repeated import Repeated
from inspector.runtime.notify import TURN_MS, Pulse
from inspector.runtime.send import send
from inspector.runtime.stop import StopRequest
from inspector.values import (
    UNSOUND_FRAME_SCORE,
    Code,
    Frame,
    Inspection,
    Pixels,
    Segmentation,
    Uninspected,
    Working,
)
from inspector.wire.messages import Filter, Result, encode_results
from inspector.wire.pixel_ring import page_aligned, side_by_side
from inspector.worker.frames_link import FramesLink
from inspector.worker.tiled import TiledFrame

DEADLINE_MARGIN: Final = 0.1
"""Share of the deadline reserved for the time from engine to verdict: a late result is wasted work."""

OVERDUE: Final = Uninspected(Code.OVERDUE, "answered after its deadline")

NO_FRAME_SCORE: Final = Uninspected(Code.ENGINE_FAILED, "engine failed: its score of the frame is not a number")

IDLE_NS: Final = 500_000_000
"""A worker without frames that has sent nothing for this long sends an empty message, ns: a strip that stands must
not hide a worker that is gone."""

PROVE_NS: Final = 60_000_000_000
"""How often the engine must find the defects of a golden frame again: one that went blind accepts everything."""

NO_KIND: Final = Uninspected(Code.ENGINE_FAILED, "engine failed: its map of kinds has numbers that are no kind")

TOO_LATE: Final = Uninspected(Code.SHED, "shed: too old to be inspected before its deadline")

log = structlog.get_logger()

Socket = zmq.Socket[bytes]


class PendingFrame(msgspec.Struct, frozen=True):
    """A frame, or one tile of it, that the worker holds: queued, or in a batch."""

    frame: Frame
    received_ns: int
    view: bool
    lent_until_ns: int
    """Monotonic clock: from then on ingest may overwrite its pixels."""
    link: FramesLink
    ingest_epoch: int
    """Epoch of the ingest that sent it."""
    inputs: int = 1
    """Credit to return with it."""
    tile: Tile | None = None
    """The part that this entry stands for; None for the whole frame."""
    tiled: TiledFrame | None = None
    """Set together with `tile`; the tiles of one frame share it."""

    def pixels(self, size: tuple[int, int]) -> Pixels:
        """What the engine sees of it, uint8 of the engine's size."""
        return self.frame.pixels if self.tile is None else self.tile.cut(self.frame.pixels, size)


class Batch(msgspec.Struct, frozen=True):
    """Frames or tiles that go through the engine together."""

    held: list[PendingFrame]
    pixels: Pixels
    """uint8 [N, H, W], in the order of `held`; kept alive until the engine has answered."""
    submitted_ns: int
    memory: Pixels | None
    """The buffer with its frames, uint8 [max_batch, H, W]; None for a single frame and for frames that lie side
    by side in the shared memory, which are not copied, and for the backend's own memory."""


class Worker:
    """One worker's queued frames, batches in flight and unsent results."""

    def __init__(
        self,
        backend: Backend,
        clean: Filter,
        batcher: Batcher[PendingFrame],
        results: Socket,
        stop: StopRequest,
        deadline_ns: int,
        pulse: Pulse,
        fit: Fit,
    ) -> None:
        self._pulse, self._fit = pulse, fit
        self._last: Frame | None = None
        self._answered = 0
        self._backend = backend
        self._classes = backend.folder.classes
        self._engine = backend.folder.identity
        self._size = (backend.manifest.height, backend.manifest.width)
        self._batch_shape = (batcher.max_frames, *self._size)
        self._inputs_at_once = batcher.max_frames * backend.slots
        self._memory: list[Pixels] = []
        """Free batch buffers: allocating one per batch would cost as much as copying the frames into it."""
        self._stride = backend.manifest.map_stride
        self._clean = clean
        self._deadline_ns = deadline_ns
        self._gather_ns = int(chunk_s(deadline_ns / 1e9) * 1e9)
        """Longest a result waits to be sent with others, while frames queue for the engine. Without a queue,
        results are sent at once."""
        self._engine_ns = 0
        """Expected time of a batch: that of the last one, halved when it alone causes a shed frame."""
        self._batcher = batcher
        self._results = results
        self._stop = stop
        self._started_ns = time.monotonic_ns()
        self._in_flight: dict[int, Batch | None] = {}
        """By ticket; None for the proof."""
        self._proved_ns = self._started_ns
        self._ticket = 0
        self._gathered: list[Result] = []
        self._batches: list[int] = []
        """Sizes of the batches that the engine has answered since the last message."""
        self._gathered_ns = 0
        """When the oldest unsent result was added."""
        self._told_ns = 0
        """When the last message went to decide."""
        self.refused = 0
        self._refusals, self._failures = Repeated(), Repeated()
        self.failed_batches = 0
        self.unsent = 0

    def turn(self) -> None:
        """Call once per turn of the loop. While the engine holds a batch, only a new result counts as progress."""
        self._pulse.turn(self._answered, pending=bool(self._in_flight), say=self._state)

    def _state(self) -> str:
        last = f"last {self._last.camera} frame {self._last.frame_id}" if self._last else "no frame yet"
        in_flight = sum(len(batch.held) for batch in self._in_flight.values() if batch is not None)
        return (
            f"{last}, {self._answered} answered, {in_flight} in the engine, {self.failed_batches} batches failed, "
            f"{self.refused} messages refused"
        )

    @property
    def idle(self) -> bool:
        """Whether no frame is queued and no batch is in flight."""
        return not self._in_flight and not len(self._batcher)

    def take(self, link: FramesLink) -> None:
        """Take one message with a camera's frames, if one waits."""
        now_ns = time.monotonic_ns()
        try:
            received = link.receive()
        except WireError as error:
            self.refused += 1
            if self._refusals.due() is not None:
                log.warning("frame message refused", error=str(error), refused=self.refused)
            return
        if received is None:
            return
        ingest_epoch, frames = received
        for lent in frames:
            frame = lent.frame
            held = PendingFrame(frame, now_ns, lent.view, lent.until_ns, link, ingest_epoch, lent.inputs)
            if frame.pixels.shape == self._size:
                self._batcher.add(held, now_ns)
            else:
                self._take_other_size(held)
            self._last = frame

    def _take_other_size(self, held: PendingFrame) -> None:
        """Queue the tiles of a frame that does not have the engine's size, or report that it may have none."""
        height, width = held.frame.pixels.shape
        tiles = self._fit.tiles((height, width))
        if tiles is None:
            fault = Uninspected(Code.WRONG_SIZE, self._fit.refusal((height, width)))
            self._settle(held, held.received_ns, fault)
            return
        tiled = TiledFrame(len(tiles), (height, width), self._stride)
        for tile in tiles:
            self._batcher.add(msgspec.structs.replace(held, tile=tile, tiled=tiled), held.received_ns)

    def submit(self, *, flush: bool = False) -> None:
        """Submit due batches while the engine has free slots."""
        while self._backend.in_flight < self._backend.slots:
            now_ns = time.monotonic_ns()
            if now_ns - self._proved_ns >= PROVE_NS:
                self._proved_ns = now_ns
                self._prove()
                continue
            waiting = self._batcher.take(now_ns, flush=flush)
            if not waiting:
                return
            held = [each for each in waiting if self._in_time(each, now_ns)]
            if not held:
                continue
            planes = [each.pixels(self._size) for each in held]
            memory = None
            laid = self._backend.lay(planes)
            if laid is not None:
                pixels = laid
            elif len(planes) == 1:
                pixels = planes[0][np.newaxis]
            elif (together := side_by_side(planes)) is not None:
                pixels = together
            else:
                memory = self._memory.pop() if self._memory else page_aligned(self._batch_shape)
                pixels = np.stack(planes, out=memory[: len(planes)])
            self._ticket += 1
            self._in_flight[self._ticket] = Batch(held, pixels, now_ns, memory)
            self._backend.submit(self._ticket, pixels)

    def _prove(self) -> None:
        proof = self._backend.proof.frames
        laid = self._backend.lay(list(proof))
        self._ticket += 1
        self._in_flight[self._ticket] = None
        self._backend.submit(self._ticket, proof if laid is None else laid)

    def _in_time(self, held: PendingFrame, now_ns: int) -> bool:
        """Whether the frame can still make its deadline; if not it is reported, and the engine's time goes to
        one that can."""
        tiled = held.tiled
        if tiled is not None and tiled.settled:
            return False
        in_time_ns = held.frame.captured_monotonic_ns + int(self._deadline_ns * (1 - DEADLINE_MARGIN))
        left_ns = min(in_time_ns, held.lent_until_ns) - now_ns
        rounds = 1 if tiled is None else -(-tiled.unsubmitted // self._inputs_at_once)
        if left_ns >= rounds * self._engine_ns:
            if tiled is not None:
                tiled.submit(now_ns)
            return True
        if left_ns > 0:
            # Only the estimate says that it is too late: one slow batch must not shed all later frames.
            self._engine_ns //= 2
        self._settle(held, now_ns, TOO_LATE)
        return False

    def due_in_ms(self) -> int:
        """How long the loop may sleep before a batch or results are due."""
        dues_ns = []
        batch_ns = self._batcher.due_ns()
        if batch_ns is not None and self._backend.in_flight < self._backend.slots:
            dues_ns.append(batch_ns)
        if self._gathered:
            dues_ns.append(self._gathered_ns + self._gather_ns)
        if self._backend.in_flight:
            # Wake up even if the engine hangs, to send the results it gave before.
            dues_ns.append(time.monotonic_ns() + 2 * self._gather_ns)
        if not dues_ns:
            return TURN_MS
        return max(0, -(-(min(dues_ns) - time.monotonic_ns()) // 1_000_000))

    def collect(self) -> None:
        """Report every batch that the engine has finished. Raises DeviceError when it fails its proof."""
        for answer in self._backend.collect():
            batch = self._in_flight.pop(answer.ticket)
            if batch is None:
                self._backend.check_proof(answer)
                continue
            if batch.memory is not None:
                self._memory.append(batch.memory)
            self._batches.append(len(batch.held))
            self._engine_ns = time.monotonic_ns() - batch.submitted_ns
            if answer.error is not None:
                self._log_failure(batch, answer.error)
            for index, held in enumerate(batch.held):
                self._take_answer(held, batch.submitted_ns, answer, index)

    def _log_failure(self, batch: Batch, error: str) -> None:
        self.failed_batches += 1
        if self._failures.due() is not None:
            log.error(
                "batch failed",
                error=error,
                frames=len(batch.held),
                first=batch.held[0].frame.frame_id,
                failed=self.failed_batches,
            )

    def _take_answer(self, held: PendingFrame, submitted_ns: int, answer: Answer, index: int) -> None:
        """Report the frame of one place in a batch, once all its maps are there."""
        tiled = held.tiled
        if tiled is not None and tiled.settled:
            return
        if answer.kind is None or answer.score is None:
            fault = Uninspected(Code.ENGINE_FAILED, f"engine failed: {answer.error}")
            self._settle(held, submitted_ns, fault)
            return
        kind, score = answer.kind[index], answer.score[index]
        frame_score = None if answer.frame is None else int(answer.frame[index])
        if tiled is None or held.tile is None:
            self._settle(held, submitted_ns, (kind, score), frame_score)
            return
        joined = tiled.add(held.tile, kind, score, frame_score)
        if joined is not None:
            self._settle(held, tiled.submitted_ns or submitted_ns, joined, tiled.frame_score)

    def _settle(
        self, held: PendingFrame, submitted_ns: int, found: Maps | Uninspected, frame_score: int | None = None
    ) -> None:
        """Report a frame's maps and frame score, or why there are none."""
        times = (held.received_ns, submitted_ns, time.monotonic_ns())
        if held.tiled is not None:
            held.tiled.settled = True
        if frame_score == UNSOUND_FRAME_SCORE:
            found = NO_FRAME_SCORE
        if isinstance(found, Uninspected):
            self._report(held, Inspection(self._engine, *times, fault=found))
            return
        maps = pixels = None
        kind, score = found
        if held.view or score.max() >= self._clean.lowest_step:
            if not 1 <= kind.min() <= kind.max() < len(self._classes.names):
                self._report(held, Inspection(self._engine, *times, fault=NO_KIND))
                return
            maps = Segmentation(kind, score, self._stride)
            # A copy, because the slot may be reused before the result is sent.
            pixels = held.frame.pixels.copy()
        if time.monotonic_ns() >= held.lent_until_ns:
            # Ingest may have overwritten the slot while the engine worked.
            self._report(held, Inspection(self._engine, *times, fault=OVERDUE))
        else:
            self._report(held, Inspection(self._engine, *times, maps, pixels, frame_score=frame_score))

    def _report(self, held: PendingFrame, inspection: Inspection) -> None:
        if not self._gathered:
            self._gathered_ns = time.monotonic_ns()
        self._answered += 1
        self._gathered.append(Result(held.link.camera, held.ingest_epoch, held.frame.frame_id, inspection))
        held.link.release(held.frame.frame_id, held.ingest_epoch, held.inputs)

    def send(self, *, flush: bool = False) -> None:
        """Send the gathered results to decide, unless it is worth waiting for more."""
        if not self._gathered:
            self._send_idle()
            return
        busy = len(self._batcher) and len(self._gathered) < CHUNK_FRAMES
        if busy and not flush and time.monotonic_ns() - self._gathered_ns < self._gather_ns:
            return
        working = Working(self._started_ns, len(self._batcher), tuple(self._batches))
        results, self._gathered, self._batches = self._gathered, [], []
        self._told_ns = time.monotonic_ns()
        on_wait = partial(self._pulse.held_up, "decide")
        if not send(
            self._results,
            encode_results(self._classes, results, self._clean, working),
            self._stop,
            on_wait=on_wait,
        ):
            self.unsent += len(results)
            log.error("results not taken by decide", frames=len(results), first=results[0].frame_id)

    def _send_idle(self) -> None:
        """Tell decide that this worker has nothing to do. Does not wait for a full link: the next one follows."""
        now_ns = time.monotonic_ns()
        if not self.idle or now_ns - self._told_ns < IDLE_NS:
            return
        self._told_ns = now_ns
        working = Working(self._started_ns, 0, tuple(self._batches))
        self._batches = []
        with contextlib.suppress(zmq.Again):
            self._results.send_multipart(encode_results(self._classes, [], self._clean, working), zmq.NOBLOCK)
