"""Decodes frames and labels once and keeps them as uint8, in memory or, if they do not fit, in a mapped file."""

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.data.dataset import Dataset, kinds_present

MEMORY_LIMIT_BYTES: Final = 6 << 30
"""Largest size of frames and labels in memory. Larger arrays go into unlinked temporary files, which the page
cache holds as far as it can."""

_DECODERS: Final = 2
"""Decoding threads. Pillow releases the interpreter lock; more threads than this wait for each other in Python."""


@dataclass(frozen=True, slots=True)
class LoadedFrames:
    """Decoded frames of one size."""

    names: list[str]
    frames: Pixels
    """uint8 [N, H, W]."""
    labels: Pixels
    """uint8 [N, H, W], 0 normal."""
    present: NDArray[np.bool_]
    """bool [N, classes]: which classes each label contains."""
    digests: list[str]
    """SHA-256 of the pixels and label of each frame."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> tuple[int, int]:
        """Frame height and width, px."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    def digest(self, indices: Sequence[int] | None = None) -> str:
        """SHA-256 over names and contents, independent of their order."""
        chosen = range(len(self)) if indices is None else indices
        lines = sorted(f"{self.names[i]} {self.digests[i]}" for i in chosen)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def load_frames(
    dataset: Dataset, names: Sequence[str], *, show_progress: bool = False, scratch: Path | None = None
) -> LoadedFrames:
    """Decode the named frames and labels.

    `scratch` is the folder of the temporary files for frames that do not fit in memory. Raises InputError for an
    image or label at fault, and for frames of different sizes: an engine takes one size.
    """
    if not names:
        raise InputError(f"{dataset.root}: no frames to load")
    height, width = dataset.frame(names[0]).shape
    shape = (len(names), height, width)
    frames, labels = _allocate(shape, scratch), _allocate(shape, scratch)
    classes = len(dataset.classes)
    present = np.zeros((len(names), classes), np.bool_)
    digests = [""] * len(names)

    def load(index: int) -> None:
        name = names[index]
        frame = dataset.frame(name)
        if frame.shape != (height, width):
            raise InputError(
                f"{dataset.images[name]}: frame is {frame.shape[0]}×{frame.shape[1]} px but {names[0]} is "
                f"{height}×{width}: an engine takes frames of one size"
            )
        label = dataset.label(name, (height, width))
        frames[index], labels[index] = frame, label
        present[index] = kinds_present(label, classes)
        digests[index] = hashlib.sha256(frame.tobytes() + label.tobytes()).hexdigest()

    with ThreadPoolExecutor(_DECODERS) as pool:
        done = pool.map(load, range(len(names)))
        try:
            for _ in bar(done, "reading", total=len(names), show=show_progress):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return LoadedFrames(list(names), frames, labels, present, digests)


def _allocate(shape: tuple[int, int, int], scratch: Path | None) -> Pixels:
    if 2 * int(np.prod(shape)) <= MEMORY_LIMIT_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
