"""An engine without a network that answers at once, for load tests and for provoking faults on a real line.

Results can be computed by hand: a pixel of grey level `defect_grey` or more, sampled at the map stride, is defect
kind 1 with its grey level as the score. Two manifest options cause trouble on purpose: `fail_on_grey` (a frame
whose first pixel has that level fails its batch) and `delay_ms` (every batch takes that long). `trainer
build-engine` never creates such an engine; `write_engine` does.

An engine with frame scores takes the grey level of a frame's last pixel as its score.
"""

import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import cv2
import numpy as np

from inspector.backends.base import Answer, Backend
from inspector.engine import golden
from inspector.engine.golden import Golden
from inspector.engine.manifest import (
    GOLDEN_NAME,
    EngineFolder,
    Manifest,
    file_sha256,
    open_folder,
    write_manifest,
)
from inspector.values import Pixels

DEFECT_GREY: Final = 250
"""Default lowest grey level of a defect pixel; steel under line lighting stays well below."""


class InstantBackend(Backend):
    """Answers in the submitting thread; with a delay in the manifest, in a separate thread."""

    def _open(self) -> None:
        options = self.manifest.options
        self._delay_s = float(options.get("delay_ms", 0.0)) / 1e3
        self._fail_on_grey = options.get("fail_on_grey")
        self._highest_sound = float(options.get("defect_grey", DEFECT_GREY)) - 1
        self.slots = self.settings.slots or 2
        shape = (self.manifest.max_batch, self.manifest.map_height, self.manifest.map_width)
        self._all_kind_1 = np.ones(shape, np.uint8)
        self._all_kind_1.flags.writeable = False
        self._work: SimpleQueue[tuple[int, Pixels] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if self._delay_s:
            self._thread = threading.Thread(target=self._serve, name="instant")
            self._thread.start()

    def _submit(self, ticket: int, frames: Pixels) -> None:
        if self._thread is None:
            self._answer(self._look(ticket, frames))
        else:
            self._work.put((ticket, frames))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            time.sleep(self._delay_s)
            self._answer(self._look(*work))

    def _look(self, ticket: int, frames: Pixels) -> Answer:
        started = time.perf_counter()
        if self._fail_on_grey is not None and (frames[:, 0, 0] == self._fail_on_grey).any():
            return Answer(ticket, None, None, 0.0, f"a frame begins with grey level {self._fail_on_grey}")
        stride = self.manifest.map_stride
        sampled = np.ascontiguousarray(frames[:, ::stride, ::stride])
        flat = sampled.reshape(-1, sampled.shape[-1])
        # cv2.threshold takes a twentieth of the time of numpy's `where` on some CPUs.
        _, score = cv2.threshold(flat, self._highest_sound, 0, cv2.THRESH_TOZERO)
        score = np.asarray(score, np.uint8).reshape(sampled.shape)
        kind = self._all_kind_1[: len(frames)]
        frame = frames[:, -1, -1].copy() if self.manifest.scores_frames else None
        return Answer(ticket, kind, score, (time.perf_counter() - started + self._delay_s) * 1e3, frame=frame)

    def _close(self) -> None:
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def device(self) -> str:
        """Say that no network runs."""
        return "no network: answers at once"


def write_engine(
    path: Path,
    *,
    height: int = 256,
    width: int = 1600,
    classes: tuple[str, ...] = ("normal", "bright"),
    max_batch: int = 8,
    map_stride: int = 4,
    options: dict[str, float] | None = None,
    frame_threshold: float | None = None,
) -> EngineFolder:
    """Write an instant engine's folder with its golden frames, and open it."""
    path.mkdir(parents=True)
    frame = np.full((1, height, width), 100, np.uint8)
    frame[0, height // 4 : height // 2, width // 4 : width // 2] = 255
    least = (options or {}).get("defect_grey", DEFECT_GREY)
    score = np.where(frame >= least, frame, np.uint8(0))[:, ::map_stride, ::map_stride]
    frame_scores = None if frame_threshold is None else frame[:, -1, -1].copy()
    golden.save(path / GOLDEN_NAME, Golden(frame, np.ones_like(score), np.ascontiguousarray(score), frame_scores))
    manifest = Manifest(
        name="instant",
        backend="instant",
        classes=classes,
        height=height,
        width=width,
        max_batch=max_batch,
        precision="fp32",
        map_stride=map_stride,
        files={GOLDEN_NAME: file_sha256(path / GOLDEN_NAME)},
        thresholds=dict.fromkeys(classes[1:], 0.5),
        frame_threshold=frame_threshold,
        options=dict(options or {}),
    )
    write_manifest(path, manifest)
    return open_folder(path)
