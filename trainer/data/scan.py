"""Reads every frame of a data set once: size, hash, class areas, margins; faults are collected or refused."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.data.dataset import Dataset
from trainer.data.faults import Complain, DataError, Fault, refuse
from trainer.data.look_alikes import Look, look

BLACK_LEVEL: Final = 16
"""Grey level, of 255, below which sensor noise and JPEG ringing beside the strip stay."""
MIN_STEEL_SHARE: Final = 0.02
"""Least share of brighter pixels for a row or column to count as steel: a strip may show in a corner only."""
_DECODERS: Final = 2
"""Decoding threads. Pillow releases the interpreter lock; more threads than this wait for each other in Python."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One readable frame."""

    name: str
    height: int
    width: int
    digest: str
    """SHA-256 of the pixels."""
    look: Look
    areas_px: NDArray[np.int64] | None
    """Pixels of each class, normal first; None if the label cannot be read."""
    margins_px: tuple[int, int, int, int]
    """Rows and columns without steel: top, bottom, left, right. A fully black frame has its whole height at
    top."""


def scan(dataset: Dataset, complain: Complain = refuse, *, show_progress: bool = False) -> list[Scanned]:
    """Every readable frame, sorted by name; faults go to `complain`."""
    with ThreadPoolExecutor(_DECODERS) as pool:
        done = pool.map(lambda name: _scan_frame(dataset, name), dataset.names)
        shown = bar(done, "reading", total=len(dataset.names), show=show_progress)
        frames = []
        try:
            for frame, faults in shown:
                for fault in faults:  # here, not in the threads: their order would differ from run to run
                    complain(fault)
                if frame is not None:
                    frames.append(frame)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return frames


def _scan_frame(dataset: Dataset, name: str) -> tuple[Scanned | None, list[Fault]]:
    """The frame, None if it cannot be read, and its faults in their order."""
    faults: list[Fault] = []
    try:
        pixels = dataset.frame(name)
    except DataError as error:
        return None, [error.fault]
    areas: NDArray[np.int64] | None = None
    shape = (pixels.shape[0], pixels.shape[1])
    try:
        label = dataset.label(name, shape, faults.append)
        areas = np.bincount(label.ravel(), minlength=len(dataset.classes)).astype(np.int64)
    except DataError as error:
        faults.append(error.fault)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return Scanned(name, *shape, digest, look(pixels), areas, _margins(pixels)), faults


def _margins(pixels: Pixels) -> tuple[int, int, int, int]:
    bright = pixels > BLACK_LEVEL
    rows = np.flatnonzero(bright.mean(axis=1) >= MIN_STEEL_SHARE)
    columns = np.flatnonzero(bright.mean(axis=0) >= MIN_STEEL_SHARE)
    height, width = pixels.shape
    if not len(rows) or not len(columns):
        return height, 0, 0, 0
    return int(rows[0]), int(height - 1 - rows[-1]), int(columns[0]), int(width - 1 - columns[-1])
