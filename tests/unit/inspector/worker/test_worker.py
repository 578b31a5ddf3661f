"""The worker's own part between a real engine and real sockets."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inspector.backends import Answer, Backend, open_backend
from inspector.backends.instant import InstantBackend, write_engine
from inspector.core.batching import Batcher
from inspector.core.tiling import Fit
from inspector.errors import DeviceError
from inspector.ingest.dispatch import Dispatch, ViewPace
from inspector.runtime.notify import Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.values import Code, Frame, Inspection, Pixels
from inspector.wire.links import FRAMES, RESULTS, open_context, open_receiver, open_sender, ring_path
from inspector.wire.messages import Filter, Result, decode_results
from inspector.wire.pixel_ring import PixelRing
from inspector.worker.frames_link import FramesLink
from inspector.worker.worker import OVERDUE, PROVE_NS, PendingFrame, Worker
from tests.support.cuda_networks import KernelBackend, StandInKernel, kernel_folder
from tests.support.gpu_pcs import stand_in_gpu

SIZE = (64, 64)
WINDOW, LUMP = 4, 1
STRIDE = 4
EXACT = Fit(SIZE, STRIDE)
ANY_SIZE = Fit(SIZE, STRIDE, tile=True, pad=True, overlap_px=16)
BRIGHT = np.full(SIZE, 255, np.uint8)


def inspect_one(
    folder: Path,
    engine_ms: float,
    deadline_ms: float,
    engine: Backend | None = None,
    *,
    pixels: Pixels = BRIGHT,
    fit: Fit = EXACT,
    fail_on_grey: int = -1,
    batch: int = 1,
    frame_threshold: float | None = None,
) -> tuple[Inspection, int]:
    """Return the worker's result for one frame, and ingest's credit while the engine computes."""
    options = {"delay_ms": engine_ms, "fail_on_grey": fail_on_grey}
    engine = engine or open_backend(
        write_engine(
            folder / "engine", height=SIZE[0], width=SIZE[1], options=options, frame_threshold=frame_threshold
        )
    )
    deadline_ns = int(deadline_ms * 1e6)
    with StopRequest() as stop, engine as backend, open_context() as context:
        ring = PixelRing.create(ring_path(folder, "top"), SIZE[0] * SIZE[1], 1)
        frames = open_sender(context, FRAMES, folder, "top", linger_ms=0)
        dispatch = Dispatch(frames, ring, deadline_ns, 1, stop, ViewPace(0), fit)
        answers = open_receiver(context, RESULTS, folder)
        link = FramesLink("top", open_receiver(context, FRAMES, folder, "top"), WINDOW, LUMP)
        batcher: Batcher[PendingFrame] = Batcher(batch, 0)
        results = open_sender(context, RESULTS, folder, linger_ms=0)
        pulse = Pulse(Notifier(), "frames")
        worker = Worker(backend, Filter("r@1", 1), batcher, results, stop, deadline_ns, pulse, fit)
        until_s = time.monotonic() + 20
        while not dispatch.wait_for_credit(1):
            link.connect()
            worker.take(link)
            assert time.monotonic() < until_s
        assert dispatch.send([Frame("top", 0, 1, time.monotonic_ns(), 0.0, pixels)]) == 1
        credit = 0
        answered: list[Result] = []
        while not answered:
            worker.take(link)
            worker.submit()
            worker.collect()
            worker.send(flush=True)
            if backend.in_flight:
                credit = max(credit, dispatch.wait_for_credit(1))
            if answers.poll(1):
                answered = decode_results(answers.recv_multipart()).results  # empty while the worker is idle
            assert time.monotonic() < until_s
        (result,) = answered
        while backend.in_flight or not worker.idle:
            worker.submit()
            worker.collect()
        worker.send(flush=True)
        while answers.poll(1):
            assert not decode_results(answers.recv_multipart()).results, "one frame, one result"
        while dispatch.wait_for_credit(1) < 1:
            assert time.monotonic() < until_s
        return result.inspection, credit


def test_an_answer_in_time_carries_the_frame_it_is_about(tmp_path: Path) -> None:
    """While the engine computes, its slot is not reused."""
    inspection, credit = inspect_one(tmp_path, engine_ms=100, deadline_ms=60_000)
    assert inspection.fault is None
    assert inspection.pixels is not None
    assert inspection.pixels.min() == 255
    assert credit == 0


def test_an_answer_after_the_deadline_is_a_fault(tmp_path: Path) -> None:
    """After the deadline ingest may reuse the slot, so the engine's input is unknown."""
    inspection, credit = inspect_one(tmp_path, engine_ms=600, deadline_ms=300)
    assert inspection.fault == OVERDUE
    assert inspection.segmentation is None
    assert credit == 1


class Watched(KernelBackend):
    """Records the memory of each submitted batch."""

    def _submit(self, ticket: int, frames: Pixels) -> None:
        self.given.append(frames.ctypes.data)  # type: ignore[attr-defined]
        super()._submit(ticket, frames)


def test_frames_are_laid_where_the_gpu_takes_them_from(tmp_path: Path) -> None:
    """From the shared memory straight to pinned memory, a single frame too: the backend copies nothing again."""
    with stand_in_gpu() as runtime:
        backend = Watched(kernel_folder(tmp_path / "kernel", size=SIZE, max_batch=4))
        backend.make_network, backend.given = lambda _: StandInKernel(backend, runtime), []  # type: ignore[misc,assignment,attr-defined]
        inspection, _ = inspect_one(tmp_path, 0, 60_000, backend)
        pinned = [slot.frames.ctypes.data for slot in backend._all]
    assert inspection.fault is None
    assert backend.given  # type: ignore[attr-defined]
    assert set(backend.given) <= set(pinned)  # type: ignore[attr-defined]


class Wrong(InstantBackend):
    """Returns clean maps that break the contract."""

    def _look(self, ticket: int, frames: Pixels) -> Answer:
        answer = super()._look(ticket, frames)
        kind, score = self.wrong(answer.kind, answer.score)  # type: ignore[attr-defined]
        return msgspec.structs.replace(answer, kind=kind, score=score)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda kind, score: (0 * kind, score),
        lambda kind, score: (kind + 1, score),
        lambda kind, score: (kind, 0 * score[:, :8]),
        lambda kind, score: (kind, np.zeros_like(score)[:, :, :, np.newaxis]),
        lambda kind, score: (kind, np.full_like(score, np.nan, np.float32)),
        lambda kind, score: (kind[:0], score[:0]),
    ],
    ids=["kind 0", "kind K+1", "half a map", "four dimensions", "NaN", "no map"],
)
def test_maps_that_break_the_contract_accept_nothing(tmp_path: Path, wrong: Callable[..., Any]) -> None:
    """A defect without a kind, a part of a frame, NaN: these are engine faults, not clean steel."""
    backend = Wrong(write_engine(tmp_path / "engine", height=SIZE[0], width=SIZE[1]))
    backend.wrong = wrong  # type: ignore[attr-defined]
    inspection, _ = inspect_one(tmp_path, 0, 60_000, backend)
    assert inspection.fault is not None
    assert inspection.fault.code is Code.ENGINE_FAILED


def test_an_engine_that_goes_blind_ends_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the defects of its golden frame at the start, and a minute later no defect at all."""
    backend = Wrong(write_engine(tmp_path / "engine", height=SIZE[0], width=SIZE[1]))
    backend.wrong = lambda kind, score: (kind, score)  # type: ignore[attr-defined]
    with StopRequest() as stop, backend, open_context() as context:
        backend.verify_golden()
        results = open_sender(context, RESULTS, tmp_path, linger_ms=0)
        pulse = Pulse(Notifier(), "frames")
        worker = Worker(backend, Filter("r@1", 1), Batcher(1, 0), results, stop, 10**9, pulse, EXACT)
        worker.submit()
        assert backend.in_flight == 0, "not due yet"
        clock = time.monotonic_ns
        monkeypatch.setattr(time, "monotonic_ns", lambda: clock() + PROVE_NS)
        worker.submit()
        assert backend.in_flight == 1
        worker.collect()
        assert worker.idle, "it sees"
        monkeypatch.setattr(time, "monotonic_ns", lambda: clock() + 2 * PROVE_NS)
        backend.wrong = lambda kind, score: (kind, 0 * score)  # type: ignore[attr-defined]
        worker.submit()
        with pytest.raises(DeviceError, match="no longer finds the defects of its golden frame"):
            worker.collect()


def spotted(height: int, width: int) -> Pixels:
    """Steel with bright spots at every place where an engine input could begin, end or be padded."""
    pixels = np.full((height, width), 100, np.uint8)
    pixels[::8, :: SIZE[1] // 4] = 255
    pixels[-1, -1] = 255
    return pixels


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(64, 200), (200, 64), (150, 131), (40, 50), (40, 300), (64, 65)])
def test_a_frame_of_another_size_has_one_result_with_maps_of_its_own_size(
    tmp_path: Path, size: tuple[int, int], batch: int
) -> None:
    """Cut, padded, or both: each map cell shows the frame's own place, and nothing of the padding."""
    pixels = spotted(*size)
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=pixels, fit=ANY_SIZE, batch=batch)
    assert inspection.fault is None
    assert inspection.segmentation is not None
    sampled = pixels[::STRIDE, ::STRIDE]
    assert np.array_equal(inspection.segmentation.score, np.where(sampled >= 250, sampled, 0))
    assert inspection.pixels is not None
    assert np.array_equal(inspection.pixels, pixels)
    assert inspection.received_ns <= inspection.submitted_ns <= inspection.answered_ns


def test_a_clean_frame_of_another_size_travels_without_maps(tmp_path: Path) -> None:
    """It travels like a clean frame of the engine's size."""
    clean = np.full((40, 300), 100, np.uint8)
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=clean, fit=ANY_SIZE)
    assert (inspection.fault, inspection.segmentation, inspection.pixels) == (None, None, None)


def test_without_leave_a_frame_of_another_size_is_uninspected(tmp_path: Path) -> None:
    """The reason names both sizes."""
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=spotted(64, 200), fit=EXACT)
    assert inspection.fault is not None
    assert inspection.fault.code is Code.WRONG_SIZE
    assert inspection.fault.text == "frame is 64×200, the engine takes 64×64"


def test_a_tile_that_the_engine_fails_on_costs_the_whole_frame_once(tmp_path: Path) -> None:
    """A frame whose one tile was not seen is not clean; the answers of its other tiles change nothing."""
    pixels = np.full((64, 300), 100, np.uint8)
    pixels[0, ANY_SIZE.tiles((64, 300))[2].across.start_px] = 7
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=pixels, fit=ANY_SIZE, fail_on_grey=7)
    assert inspection.fault is not None
    assert inspection.fault.code is Code.ENGINE_FAILED


def test_a_tiled_frame_that_is_too_late_is_given_up_once(tmp_path: Path) -> None:
    """Its other tiles are not submitted."""
    inspection, _ = inspect_one(tmp_path, 200, 300, pixels=spotted(64, 1000), fit=ANY_SIZE)
    assert inspection.fault is not None
    assert inspection.fault.code in (Code.SHED, Code.OVERDUE)


@pytest.mark.parametrize("size", [(64, 64), (64, 300)])
@pytest.mark.parametrize("grey", [1, 200, 255])
def test_the_frame_score_travels_with_a_clean_frame_too(tmp_path: Path, size: tuple[int, int], grey: int) -> None:
    """Of a tiled frame it is the highest of its tiles."""
    pixels = np.full(size, 1, np.uint8)
    pixels[-1, 63] = grey
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=pixels, fit=ANY_SIZE, frame_threshold=0.5)
    assert inspection.fault is None
    assert inspection.frame_score == grey


@pytest.mark.parametrize("size", [(64, 64), (64, 300)])
def test_a_frame_score_that_is_no_number_leaves_the_frame_uninspected(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """One NaN tile is enough, because its content is unknown."""
    pixels = np.full(size, 100, np.uint8)
    pixels[-1, 63] = 0
    inspection, _ = inspect_one(tmp_path, 0, 60_000, pixels=pixels, fit=ANY_SIZE, frame_threshold=0.5)
    assert inspection.fault is not None
    assert inspection.fault.code is Code.ENGINE_FAILED
    assert (inspection.segmentation, inspection.frame_score) == (None, None)


def test_a_worker_without_frames_reports_itself(tmp_path: Path) -> None:
    """At once, and then twice a second, however often its loop turns."""
    backend = open_backend(write_engine(tmp_path / "engine", height=SIZE[0], width=SIZE[1]))
    with StopRequest() as stop, backend, open_context() as context:
        answers = open_receiver(context, RESULTS, tmp_path)
        results = open_sender(context, RESULTS, tmp_path, linger_ms=0)
        pulse = Pulse(Notifier(), "frames")
        worker = Worker(backend, Filter("r@1", 1), Batcher(1, 0), results, stop, 10**9, pulse, EXACT)
        until_s = time.monotonic() + 1.2
        heard = 0
        while time.monotonic() < until_s:
            worker.send()
            if answers.poll(1):
                message = decode_results(answers.recv_multipart())
                assert (message.results, message.engine.engine) == ([], backend.folder.identity)
                heard += 1
        assert 2 <= heard <= 3
