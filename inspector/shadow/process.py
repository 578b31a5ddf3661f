"""Shadow: a candidate engine sees the frames of the live view. Its verdicts only go into the review queue.

It is a separate process that subscribes to the view, as the page does. It holds no credit of the worker, no
shared memory, and no link that a stage waits for. The kernel gives it a CPU only while no other process wants one.
"""

import contextlib
import select
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from inspector.backends import Backend, open_backend
from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.core.collect import DAY_S, Quota
from inspector.core.differences import LINE_ONLY, Difference, Tally, differences
from inspector.core.single_frame import FrameFindings, judge_alone, judge_mask
from inspector.engine.manifest import EngineFolder, check_successor, read_manifest
from inspector.engine.signature import open_trusted
from inspector.errors import InputError, WorkError
from inspector.files import write_whole
from inspector.monitoring.client import ask
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.priority import run_when_idle
from inspector.runtime.stop import StopRequest
from inspector.serve.samples import keep
from inspector.serve.store import Store
from inspector.serve.view import ViewReader
from inspector.shadow.latest import Latest
from inspector.values import Pixels, Segmentation, frame_step
from inspector.wire.links import VIEW, endpoint
from inspector.wire.view import ViewMessage, view_address
from inspector.worker.tiled import TiledFrame

SHADOW: Final = "shadow"
"""Origin of the frames that it puts into the review queue."""

RESULTS_NAME: Final = "shadow.json"

THREADS: Final = 1
"""Threads of the candidate: one of the PC's cores at most."""

WAIT_S: Final = 0.2
"""Longest wait for a frame before a stop request is noticed, seconds."""

REST_TIMES: Final = 3.0
"""After a frame it rests this many times as long as it looked: two programs that compute at once slow each other's
caches and memory, also where one has the lowest priority."""

SILENT_S: Final = 5.0
"""After this time without a frame it looks whether the line runs again and publishes elsewhere, seconds."""

WRITE_EVERY_S: Final = 5.0

NOTED: Final = 3
"""Differences named beside a frame in the review queue."""

RUN_CONFIG: Final = "line.json"

log = structlog.get_logger()


def shadow(config: LoadedConfig, store: Store, engine: Path, *, frames: int | None = None) -> dict[str, Any]:
    """Run until a stop request, or until `frames` were compared; returns the figures. Raises InspectorError."""
    line = config.line
    if line.view.frames_per_second <= 0:
        raise InputError(f"{config.path}: view.frames_per_second is 0: a shadow sees the frames of the view")
    folder = open_trusted(engine.resolve(), line.trusted_keys)
    check_successor(folder.manifest, read_manifest(line.engine))
    run_when_idle()
    latest = Latest()
    reader = ViewReader(latest.offer)
    backend = open_backend(folder, cache_dir=line.backend.cache, threads=THREADS, slots=1)
    with hold_place(SHADOW, store.folder), StopRequest() as stop, backend:
        backend.verify_golden()
        reader.connect(_view(line))
        reader.start()
        heard_s = time.monotonic()
        log.info("shadow started", engine=folder.identity, device=backend.device())
        comparing = _Comparing(config, store, folder, backend, latest)
        try:
            while not stop and comparing.tally.frames != frames:
                seen = latest.take(WAIT_S)
                if seen is not None:
                    heard_s = time.monotonic()
                    comparing.look(seen)
                    select.select([stop.fileno()], [], [], REST_TIMES * (time.monotonic() - heard_s))
                elif time.monotonic() - heard_s > SILENT_S:
                    heard_s = time.monotonic()
                    with contextlib.suppress(WorkError):  # the line is down: it may come back
                        reader.connect(_view(line))
                comparing.write_if_due()
        finally:
            reader.stop()
            figures = comparing.write()
    log.info("shadow ended", frames=comparing.tally.frames, shed=latest.shed)
    return figures


def _view(line: LineConfig) -> str:
    """Return where the running line publishes its view: `inspector run` has new links for each run."""
    if line.view.address is not None:
        raise InputError("view.address: a shadow reads the view by a socket of this PC: remove address and keys")
    if line.health is not None:
        state = ask(line.health.port)[1].line
        if state is not None and (Path(state.out) / RUN_CONFIG).is_file():
            return view_address(Path(state.out) / RUN_CONFIG)
    return endpoint(VIEW, line.links)


class _Comparing:
    """Compares the candidate with the line, frame by frame."""

    def __init__(
        self, config: LoadedConfig, store: Store, folder: EngineFolder, backend: Backend, latest: Latest
    ) -> None:
        line = config.line
        recipe = load_recipe(line.recipe)
        self._ours = recipe.bind(folder.classes)
        self._severity_mm2 = recipe.recipe.coil.bind().severity_mm2
        manifest = folder.manifest
        self._fit = line.frames.fit(manifest.height, manifest.width, manifest.map_stride)
        self._size, self._stride = (manifest.height, manifest.width), manifest.map_stride
        self._store, self._folder, self._backend, self._latest = store, folder, backend, latest
        self._line_engine = ""
        self._quota = Quota(line.collect.shadow)
        self.tally = Tally()
        self.kept = 0
        self._looked_s = 0.0
        self._written_s = time.monotonic()
        self._troubles = Repeated()

    def look(self, seen: ViewMessage) -> None:
        """Compare one frame, and keep it for review if the two engines differ."""
        if seen.pixels is None or seen.mask is None:
            return
        began_s = time.monotonic()
        answer = self._answer(seen.pixels)
        if answer is None:
            return
        height, width = seen.pixels.shape
        candidate = judge_alone(answer[0], height, width, self._ours, answer[1])
        stated = seen.verdict.frame_score
        line = judge_mask(seen.mask, self._ours, frame_step(stated) if isinstance(stated, float) else None)
        found = differences(line, candidate, self._severity_mm2)
        self.tally.add(line, candidate, found)
        self._line_engine = seen.verdict.engine
        self._looked_s += time.monotonic() - began_s
        if found and self._quota.has(time.monotonic(), int(time.time() // DAY_S)):
            self._keep(seen, candidate, found)

    def _answer(self, pixels: Pixels) -> tuple[Segmentation, int | None] | None:
        """The candidate's maps and frame score; None for a frame that the line does not inspect either."""
        size = (pixels.shape[0], pixels.shape[1])
        tiles = self._fit.tiles(size)
        if size != self._size and tiles is None:
            return None
        if size == self._size or tiles is None:
            kind, score, frame = self._backend.answer_all(np.ascontiguousarray(pixels[None]))
            return Segmentation(kind[0], score[0], self._stride), None if frame is None else int(frame[0])
        kind, score, frame = self._backend.answer_all(np.stack([tile.cut(pixels, self._size) for tile in tiles]))
        tiled = TiledFrame(len(tiles), size, self._stride)
        maps = None
        for index, tile in enumerate(tiles):
            maps = tiled.add(tile, kind[index], score[index], None if frame is None else int(frame[index]))
        return None if maps is None else (Segmentation(*maps, self._stride), tiled.frame_score)

    def _keep(self, seen: ViewMessage, candidate: FrameFindings, found: list[Difference]) -> None:
        """Put the frame into the review queue, with the mask of the engine that found more there."""
        note = f"shadow {self._folder.identity}: {'; '.join(map(str, found[:NOTED]))}"
        shown = seen.mask if found[0].what == LINE_ONLY else candidate.mask
        try:
            kept = keep(
                self._store, SHADOW, msgspec.structs.replace(seen, mask=shown), self._ours.names, note=note
            )
        except (OSError, WorkError) as error:
            if self._troubles.due() is not None:
                log.warning("differences are not kept for review", error=str(error))
            return
        if kept is not None:
            self._quota.take()
            self.kept += 1

    def write_if_due(self) -> None:
        """Write the figures every few seconds."""
        if time.monotonic() - self._written_s >= WRITE_EVERY_S:
            self.write()

    def write(self) -> dict[str, Any]:
        """Write shadow.json into the page's folder; returns its content."""
        self._written_s = time.monotonic()
        looked = self.tally.frames
        figures: dict[str, Any] = {
            "candidate": self._folder.identity,
            "line": self._line_engine,
            **self.tally.figures(),
            "offered": self._latest.offered,
            "shed": self._latest.shed,
            "kept_for_review": self.kept,
            "ms_a_frame": round(1e3 * self._looked_s / looked, 2) if looked else None,
        }
        try:
            content = msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"
            write_whole(self._store.folder / RESULTS_NAME, content, sync=False)
        except OSError as error:
            if self._troubles.due() is not None:
                log.warning("figures are not written", error=str(error))
        return figures
