"""The worker's own part between a real engine and real sockets."""

import time
from pathlib import Path

import numpy as np

from inspector.backends import Backend, open_backend
from inspector.backends.instant import write_engine
from inspector.core.batching import Batcher
from inspector.ingest.dispatch import Dispatch, ViewPace
from inspector.runtime.notify import Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.values import Frame, Inspection, Pixels
from inspector.wire.links import FRAMES, RESULTS, open_context, open_receiver, open_sender, ring_path
from inspector.wire.messages import Filter, decode_results
from inspector.wire.pixel_ring import PixelRing
from inspector.worker.intake import Intake
from inspector.worker.worker import OVERDUE, PendingFrame, Worker
from tests.support.cuda_networks import KernelBackend, StandInKernel, kernel_folder
from tests.support.gpu_pcs import stand_in_gpu

SIZE = (64, 64)
WINDOW, LUMP = 4, 1


def inspect_one(
    folder: Path, engine_ms: float, deadline_ms: float, engine: Backend | None = None
) -> tuple[Inspection, int]:
    """What the worker says of one bright frame, and how much credit ingest has while the engine is at it."""
    options = {"delay_ms": engine_ms}
    engine = engine or open_backend(
        write_engine(folder / "engine", height=SIZE[0], width=SIZE[1], options=options)
    )
    deadline_ns = int(deadline_ms * 1e6)
    with StopRequest() as stop, engine as backend, open_context() as context:
        ring = PixelRing.create(ring_path(folder, "top"), SIZE[0] * SIZE[1], 1)
        frames = open_sender(context, FRAMES, folder, "top", linger_ms=0)
        dispatch = Dispatch(frames, ring, deadline_ns, 1, stop, ViewPace(0))
        answers = open_receiver(context, RESULTS, folder)
        intake = Intake("top", open_receiver(context, FRAMES, folder, "top"), WINDOW, LUMP)
        batcher: Batcher[PendingFrame] = Batcher(1, 0)
        results = open_sender(context, RESULTS, folder, linger_ms=0)
        worker = Worker(
            backend, Filter("r@1", 1), batcher, results, stop, deadline_ns, Pulse(Notifier(), "frames")
        )
        until_s = time.monotonic() + 20
        while not dispatch.wait_for_credit(1):
            intake.connect()
            worker.take(intake)
            assert time.monotonic() < until_s
        pixels = np.full(SIZE, 255, np.uint8)
        assert dispatch.send([Frame("top", 0, 1, time.monotonic_ns(), 0.0, pixels)]) == 1
        credit, answered = 0, []
        while not answered:
            worker.take(intake)
            worker.submit()
            worker.collect()
            worker.send(flush=True)
            if backend.in_flight:
                credit = max(credit, dispatch.wait_for_credit(1))
            if answers.poll(1):
                answered = decode_results(answers.recv_multipart()).results  # empty while the worker is idle
            assert time.monotonic() < until_s
        (result,) = answered
        return result.inspection, credit


def test_an_answer_in_time_carries_the_frame_it_is_about(tmp_path: Path) -> None:
    """While the engine looks at it, no other frame is laid in its place."""
    inspection, credit = inspect_one(tmp_path, engine_ms=100, deadline_ms=60_000)
    assert inspection.fault is None
    assert inspection.pixels is not None
    assert inspection.pixels.min() == 255
    assert credit == 0


def test_an_answer_after_the_deadline_is_a_fault(tmp_path: Path) -> None:
    """From then on ingest may use the frame's place again: nobody knows what the engine has looked at."""
    inspection, credit = inspect_one(tmp_path, engine_ms=600, deadline_ms=300)
    assert inspection.fault == OVERDUE
    assert inspection.segmentation is None
    assert credit == 1


class Watched(KernelBackend):
    """Tells where each batch lay that it was given."""

    def _submit(self, ticket: int, frames: Pixels) -> None:
        self.given.append(frames.ctypes.data)
        super()._submit(ticket, frames)


def test_frames_are_laid_where_the_gpu_takes_them_from(tmp_path: Path) -> None:
    """From the shared memory straight to pinned memory, a single frame too: the backend copies nothing again."""
    with stand_in_gpu() as runtime:
        backend = Watched(kernel_folder(tmp_path / "kernel", size=SIZE, max_batch=4))
        backend.make_network, backend.given = lambda _: StandInKernel(backend, runtime), []
        inspection, _ = inspect_one(tmp_path, 0, 60_000, backend)
        pinned = [slot.frames.ctypes.data for slot in backend._all]
    assert inspection.fault is None
    assert backend.given
    assert set(backend.given) <= set(pinned)


def test_a_worker_without_frames_reports_itself(tmp_path: Path) -> None:
    """At once, and then twice a second, however often its loop turns."""
    backend = open_backend(write_engine(tmp_path / "engine", height=SIZE[0], width=SIZE[1]))
    with StopRequest() as stop, backend, open_context() as context:
        answers = open_receiver(context, RESULTS, tmp_path)
        results = open_sender(context, RESULTS, tmp_path, linger_ms=0)
        pulse = Pulse(Notifier(), "frames")
        worker = Worker(backend, Filter("r@1", 1), Batcher(1, 0), results, stop, 10**9, pulse)
        until_s = time.monotonic() + 1.2
        heard = 0
        while time.monotonic() < until_s:
            worker.send()
            if answers.poll(1):
                message = decode_results(answers.recv_multipart())
                assert (message.results, message.engine.engine) == ([], backend.folder.identity)
                heard += 1
        assert 2 <= heard <= 3
