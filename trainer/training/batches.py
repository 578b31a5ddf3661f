"""Batches for Lightning: an endless stream for training, whole frames for validation."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from trainer.data.crops import CropBatches
from trainer.data.frames import LoadedFrames
from trainer.training.processes import Processes


class Batch(NamedTuple):
    """Frames and labels, uint8 [B, h, w] each, with their step and slots."""

    frames: Tensor
    labels: Tensor
    step: int = 0
    first_slot: int = 0
    """Slot of the first frame in the step's batch, which all processes share."""

    def parts(self, count: int) -> "Iterator[Batch]":
        """Split the batch into parts of `count` frames; the last part may be smaller."""
        for start in range(0, len(self.frames), count):
            part = slice(start, start + count)
            yield Batch(self.frames[part], self.labels[part], self.step, self.first_slot + start)


class TrainStream(IterableDataset[Batch]):
    """Endless stream of this process's crops; it calls `first_step` when the first batch is requested."""

    def __init__(self, crops: CropBatches, processes: Processes, first_step: Callable[[], int]) -> None:
        self._crops = crops
        self._processes = processes
        self._first_step = first_step

    def __iter__(self) -> Iterator[Batch]:
        step = self._first_step()
        while True:
            frames, labels = self._crops.at(step)
            mine = len(frames) // self._processes.count
            first = self._processes.rank * mine
            part = slice(first, first + mine)
            yield Batch(torch.from_numpy(frames[part]), torch.from_numpy(labels[part]), step, first)
            step += 1


class WholeFrames(IterableDataset[Batch]):
    """This process's share of the given frames, in order, not cropped."""

    def __init__(self, data: LoadedFrames, indices: NDArray[np.intp], batch: int, processes: Processes) -> None:
        self._data = data
        self._indices = indices[processes.rank :: processes.count]
        self._batch = batch

    def __len__(self) -> int:
        return math.ceil(len(self._indices) / self._batch)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._indices), self._batch):
            chosen = self._indices[start : start + self._batch]
            yield Batch(torch.from_numpy(self._data.frames[chosen]), torch.from_numpy(self._data.labels[chosen]))
