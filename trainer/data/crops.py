"""Training batches: crops, a share of them around defects, each batch a pure function of seed and step."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.data.frames import LoadedFrames

_PERMUTATION: Final = 1
_STEP: Final = 2
"""Keys that separate the two streams of random numbers."""


@dataclass(frozen=True, slots=True)
class CropSettings:
    """Settings of a batch."""

    batch: int
    height: int
    width: int
    """Crop size, px."""
    balanced_share: float
    """Share of a batch drawn class by class, around a defect pixel; the rest goes through all frames in turn."""
    seed: int


class CropBatches:
    """Batches by step number: `at(step)` gives the same crops on every call, so a resume is exact."""

    def __init__(self, data: LoadedFrames, indices: NDArray[np.intp], settings: CropSettings) -> None:
        self._data = data
        self._indices = indices
        self._settings = settings
        present = data.present[indices]
        self._by_kind = [
            members
            for kind in range(1, present.shape[1])
            if len(members := indices[np.flatnonzero(present[:, kind])])
        ]
        self._kinds = [kind for kind in range(1, present.shape[1]) if present[:, kind].any()]
        self._balanced = round(settings.batch * settings.balanced_share) if self._kinds else 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches that together hold as many crops as there are frames."""
        return max(1, len(self._indices) // self._settings.batch)

    def at(self, step: int) -> tuple[Pixels, Pixels]:
        """Crops and labels of one step, uint8 [B, h, w] each, flipped and (square crops) transposed at random."""
        frames, labels, _ = self._draw(step)
        return frames, labels

    def names_at(self, step: int) -> list[str]:
        """Name of the source frame of each crop of `step`; draws the step again."""
        return [self._data.names[index] for index in self._draw(step)[2]]

    def _draw(self, step: int) -> tuple[Pixels, Pixels, list[int]]:
        """Crops, labels and indices of their source frames."""
        s = self._settings
        random = np.random.default_rng((s.seed, _STEP, step))
        frames = np.empty((s.batch, s.height, s.width), np.uint8)
        labels = np.empty_like(frames)
        chosen = self._walk(step)
        for slot, index in enumerate(chosen):
            self._cut(frames, labels, slot, index, None, random)
        for slot in range(s.batch - self._balanced, s.batch):
            choice = int(random.integers(len(self._kinds)))
            index = int(random.choice(self._by_kind[choice]))
            self._cut(frames, labels, slot, index, self._kinds[choice], random)
            chosen.append(index)
        return frames, labels, chosen

    def _walk(self, step: int) -> list[int]:
        """Frames of the unbalanced part: one random permutation of all frames after another."""
        count = self._settings.batch - self._balanced
        total = len(self._indices)
        chosen = []
        for position in range(step * count, (step + 1) * count):
            epoch, place = divmod(position, total)
            order = self._permutation(epoch)
            chosen.append(int(order[place]))
        return chosen

    def _permutation(self, epoch: int) -> NDArray[np.intp]:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self._settings.seed, _PERMUTATION, epoch)).permutation(
                self._indices
            )
        return self._order

    def _cut(
        self,
        frames: Pixels,
        labels: Pixels,
        slot: int,
        index: int,
        kind: int | None,
        random: np.random.Generator,
    ) -> None:
        """Copy one crop into its slot, mirrored and transposed at random."""
        s = self._settings
        frame, label = self._data.frames[index], self._data.labels[index]
        rows, columns = label.shape
        if kind is None:
            top = int(random.integers(rows - s.height + 1))
            left = int(random.integers(columns - s.width + 1))
        else:
            pixels = np.flatnonzero(label.ravel() == kind)
            row, column = divmod(int(random.choice(pixels)), columns)
            # Anywhere in the crop except its outer eighths, so that a defect is not always in the middle.
            top = row - int(random.integers(s.height // 8, s.height - s.height // 8))
            left = column - int(random.integers(s.width // 8, s.width - s.width // 8))
            top = min(max(top, 0), rows - s.height)
            left = min(max(left, 0), columns - s.width)
        window = (slice(top, top + s.height), slice(left, left + s.width))
        frame, label = frame[window], label[window]
        up, across, swap = random.integers(0, 2, 3)
        if up:
            frame, label = frame[::-1], label[::-1]
        if across:
            frame, label = frame[:, ::-1], label[:, ::-1]
        if swap and s.height == s.width:
            frame, label = frame.T, label.T
        frames[slot], labels[slot] = frame, label
