"""Decodes frames and labels once and keeps them as uint8, in memory or, if they do not fit, in a mapped file."""

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.data.dataset import Dataset, kinds_present
from trainer.data.fit import Fit, Window, check_side

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
    sources: list[str] = field(default_factory=list)
    """Name of the frame that each entry is a part of; empty if every entry is a whole frame."""
    filled: NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), np.intp))
    """int [N, 2]: height and width of the part of each entry that is not a mirrored edge; empty if nothing is."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> tuple[int, int]:
        """Frame height and width, px."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    @property
    def frame_names(self) -> list[str]:
        """Name of the data set's frame that each entry comes from."""
        return self.sources or self.names

    def unmirrored(self, index: int) -> Pixels:
        """The label of an entry without mirrored edges, uint8 [h, w]."""
        label: Pixels = self.labels[index]
        if len(self.filled):
            height, width = self.filled[index]
            label = label[:height, :width]
        return label

    def digest(self, indices: Sequence[int] | None = None) -> str:
        """SHA-256 over names and contents, independent of their order."""
        chosen = range(len(self)) if indices is None else indices
        lines = sorted(f"{self.names[i]} {self.digests[i]}" for i in chosen)
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def load_frames(
    dataset: Dataset,
    names: Sequence[str],
    *,
    fit: Fit | None = None,
    show_progress: bool = False,
    scratch: Path | None = None,
) -> LoadedFrames:
    """Decode the named frames and labels; with `fit`, bring them to one size.

    `scratch` is the folder of the temporary files for frames that do not fit in memory. Raises InputError for an
    image or label at fault, and without `fit` for frames of different sizes: an engine takes one size.
    """
    if not names:
        raise InputError(f"{dataset.root}: no frames to load")
    places, (height, width) = _places(dataset, names, fit)
    count = sum(len(windows) for _, windows in places)
    frames, labels = (_allocate((count, height, width), scratch) for _ in range(2))
    classes = len(dataset.classes)
    present = np.zeros((count, classes), np.bool_)
    filled = np.empty((count, 2), np.intp)
    digests = [""] * count

    def load(number: int) -> None:
        name = names[number]
        first, windows = places[number]
        frame = dataset.frame(name)
        shape = (frame.shape[0], frame.shape[1])
        if fit is None and shape != (height, width):
            raise InputError(
                f"{dataset.images[name]}: frame is {shape[0]}×{shape[1]} px but {names[0]} is {height}×{width}: "
                "an engine takes frames of one size; --fit tile cuts them, --fit resize scales them"
            )
        label = dataset.label(name, shape)
        for index, window in enumerate(windows, start=first):
            if fit is not None:
                frames[index], labels[index] = fit.apply(frame, label, window)
                filled[index] = fit.filled(*shape, window)
            else:
                frames[index], labels[index] = frame, label
                filled[index] = shape
            present[index] = kinds_present(labels[index], classes)
            digests[index] = hashlib.sha256(frames[index].tobytes() + labels[index].tobytes()).hexdigest()

    with ThreadPoolExecutor(_DECODERS) as pool:
        done = pool.map(load, range(len(names)))
        try:
            for _ in bar(done, "reading", total=len(names), show=show_progress):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    sources = [name for name, (_, windows) in zip(names, places, strict=True) for _ in windows]
    shown = [
        f"{name} [{top}, {left}]" if len(windows) > 1 else name
        for name, (_, windows) in zip(names, places, strict=True)
        for top, left in windows
    ]
    return LoadedFrames(shown, frames, labels, present, digests, sources, filled)


def _places(
    dataset: Dataset, names: Sequence[str], fit: Fit | None
) -> tuple[list[tuple[int, list[Window]]], tuple[int, int]]:
    """For each frame the index of its first entry and its windows; and the height and width of every entry."""
    if fit is None:
        height, width = dataset.frame(names[0]).shape
        check_side(height, width, str(dataset.images[names[0]]))
        return [(number, [(0, 0)]) for number in range(len(names))], (height, width)
    places = []
    first = 0
    for name in names:
        windows = fit.windows(*dataset.size(name))
        places.append((first, windows))
        first += len(windows)
    return places, (fit.height, fit.width)


def _allocate(shape: tuple[int, int, int], scratch: Path | None) -> Pixels:
    if 2 * int(np.prod(shape)) <= MEMORY_LIMIT_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
