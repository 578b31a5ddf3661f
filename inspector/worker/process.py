"""worker: gathers frames into batches, keeps the engine busy, and sends a result for each frame."""

import time
from typing import Final

import structlog
import zmq

from inspector.backends import Backend, open_backend
from inspector.config.line import LoadedConfig
from inspector.core.batching import Batcher
from inspector.engine.signature import open_trusted
from inspector.errors import DeviceError
from inspector.folders import make_own_folder
from inspector.runtime.notify import READY, Notifier, Pulse
from inspector.runtime.send import set_retry
from inspector.runtime.stop import StopRequest
from inspector.wire.links import FRAMES, RESULTS, open_context, open_receiver, open_sender
from inspector.wire.messages import Filter
from inspector.worker.frames_link import FramesLink, open_window
from inspector.worker.worker import PendingFrame, Worker

RESULTS_LINGER_MS: Final = 1000

PART_MS: Final = 300
"""How long to wait after a stop request for ingests to confirm that they send no more, ms."""

POLL_STOPPING_MS: Final = 20

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop is requested. Raises InputError before the first frame is taken."""
    line = config.line
    make_own_folder(line.links)
    folder = open_trusted(line.engine, line.trusted_keys)
    plans = config.plans()
    structlog.contextvars.bind_contextvars(engine=folder.identity)
    notifier = Notifier()
    backend = open_backend(
        folder,
        cache_dir=line.backend.cache,
        threads=line.backend.threads,
        slots=line.backend.slots,
        register_frames=line.backend.register_frames,
    )
    with StopRequest() as stop, backend, open_context() as context:
        backend.verify_golden()
        batcher: Batcher[PendingFrame] = Batcher(
            line.batch.frames(folder.manifest.max_batch), int(line.batch.max_wait_ms * 1e6)
        )
        results = open_sender(context, RESULTS, line.links, linger_ms=RESULTS_LINGER_MS)
        set_retry(results)
        window, chunk = open_window(backend, batcher.max_frames, line.deadline_ms / 1e3, len(line.cameras))
        links = [
            FramesLink(camera, open_receiver(context, FRAMES, line.links, camera), window, chunk)
            for camera in line.cameras
        ]
        pulse = Pulse(notifier, "frames")
        clean = Filter(plans.identity, plans.lowest_step(folder.classes))
        fit = line.frames.fit(folder.manifest.height, folder.manifest.width, folder.manifest.map_stride)
        worker = Worker(backend, clean, batcher, results, stop, int(line.deadline_ms * 1e6), pulse, fit)
        notifier.tell(**{READY: "1"})
        log.info("worker started", device=backend.device(), slots=backend.slots, max_batch=batcher.max_frames)
        try:
            _serve(worker, backend, links, stop)
        except DeviceError:
            worker.send(flush=True)  # results from before the device was lost still count
            raise
        log.info(
            "worker ended", refused=worker.refused, failed_batches=worker.failed_batches, unsent=worker.unsent
        )


def _serve(worker: Worker, backend: Backend, links: list[FramesLink], stop: StopRequest) -> None:
    poller, engine = zmq.Poller(), zmq.Poller()
    for end in (backend.fileno(), stop.fileno()):
        poller.register(end, zmq.POLLIN)
        engine.register(end, zmq.POLLIN)
    for link in links:
        poller.register(link.socket, zmq.POLLIN)
        poller.register(link.connections, zmq.POLLIN)
    parted_by_s: float | None = None
    while True:
        full = not stop and backend.in_flight == backend.slots
        if full:
            # All slots are busy: more frames would only wait here instead of on the link, so do not wake for them.
            engine.poll(worker.due_in_ms())
        ready = dict(poller.poll(0 if full else POLL_STOPPING_MS if stop else worker.due_in_ms()))
        worker.collect()
        for link in links:
            if link.connections in ready:
                link.connect()
            if link.socket in ready:
                worker.take(link)
        worker.submit(flush=bool(stop))
        worker.send(flush=bool(stop))
        worker.turn()
        if not stop:
            continue
        if parted_by_s is None:
            parted_by_s = time.monotonic() + PART_MS / 1e3
            poller.unregister(stop.fileno())  # the `engine` poller is not used after a stop
            for link in links:
                link.leave()
        parted = all(link.parted for link in links) or time.monotonic() > parted_by_s
        if parted and worker.idle:
            return
