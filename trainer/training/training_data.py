"""Loads the frames of a run and their split, before the first step."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.dataset import Dataset
from trainer.data.faults import Remarks
from trainer.data.fit import Fit, check_side, usual_size
from trainer.data.formats import open_dataset
from trainer.data.frames import LoadedFrames, load_frames
from trainer.data.look_alikes import group, join
from trainer.data.split import Split, make_split, read_split
from trainer.data.split_file import freeze
from trainer.data.whole_set import check_whole_set
from trainer.training.processes import processes_here
from trainer.training.settings import SPLIT_NAME, TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Frames, their split, and the indices of the training and validation parts."""

    loaded: LoadedFrames
    classes: tuple[str, ...]
    """Classes of the data set, normal first."""
    split: Split
    train: NDArray[np.intp]
    val: NDArray[np.intp]
    fit: Fit | None = None
    """How frames of other sizes became frames of one size."""

    def indices(self, part: str) -> NDArray[np.intp]:
        """Indices of the frames in one part of the split."""
        return _indices(self.loaded, self.split[part])


def load_training_data(settings: TrainSettings, *, resume: bool) -> TrainingData:
    """Load frames and split; a resumed run reads the split that the first start wrote beside its checkpoints.

    Raises InputError for a fault in the data set or split.
    """
    remarks = Remarks()
    dataset = open_dataset(settings.data, remarks)
    if processes_here().is_first:
        remarks.tell()
    stored = settings.out / SPLIT_NAME
    given = stored if resume and stored.exists() else settings.split
    split = None if given is None else read_split(given, dataset)
    names = dataset.names if split is None else [*split["train"], *split["val"]]
    fit = _fit(dataset, names, settings)
    loaded = load_frames(dataset, names, fit=fit, show_progress=True, scratch=settings.out)
    check_whole_set(dataset.root, loaded.present)
    if split is None:
        split = _make_split(loaded, settings)
    elif split["train"] and not split["val"]:
        part = _make_split(loaded, settings)
        split = {**split, "train": part["train"], "val": part["val"]}
    if not split["train"] or not split["val"]:
        raise InputError(f"{given}: lists no frame to train on")
    if given != stored and processes_here().is_first:
        freeze(stored, split, dataset, {"seed": settings.seed}, show_progress=True)
    return training_data(loaded, dataset.classes, split, fit)


def _fit(dataset: Dataset, names: Sequence[str], settings: TrainSettings) -> Fit | None:
    """How the frames become frames of one size; None if they have one already and no other is stated."""
    sizes = [dataset.size(name) for name in names]
    if settings.frame is None and settings.fit is None and len(set(sizes)) == 1:
        return None
    size = settings.frame or usual_size(sizes)
    if size == sizes[0] and len(set(sizes)) == 1:
        return None
    check_side(*size, str(dataset.root))
    return Fit(settings.fit or "tile", *size)


def _make_split(loaded: LoadedFrames, settings: TrainSettings) -> Split:
    """Split by --val; look-alikes, and all tiles of a frame, stay in one part."""
    groups = group(loaded.frames)
    if len(set(loaded.frame_names)) < len(loaded):
        frames, alike = (
            np.unique(numbers, return_index=True, return_inverse=True) for numbers in (loaded.frame_names, groups)
        )
        links = [(int(first[inverse[i]]), i) for _, first, inverse in (frames, alike) for i in range(len(loaded))]
        groups = join(len(loaded), links)
    entries = [str(index) for index in range(len(loaded))]
    split = make_split(entries, loaded.present, settings.val, settings.seed, groups=groups)
    names = loaded.frame_names
    return {part: list(dict.fromkeys(names[int(entry)] for entry in split[part])) for part in split}


def training_data(
    loaded: LoadedFrames, classes: tuple[str, ...], split: Split, fit: Fit | None = None
) -> TrainingData:
    """Training data from loaded frames; prints a warning for classes that no training frame shows."""
    train, val = (_indices(loaded, split[part]) for part in ("train", "val"))
    missing = [name for kind, name in enumerate(classes) if kind and not loaded.present[train, kind].any()]
    if missing and processes_here().is_first:
        print(f"trainer: warning: no training frame shows {', '.join(missing)}", file=sys.stderr)
    return TrainingData(loaded, classes, split, train, val, fit)


def _indices(loaded: LoadedFrames, names: Sequence[str]) -> NDArray[np.intp]:
    """Entries of these frames, in their order."""
    entries: dict[str, list[int]] = {}
    for index, name in enumerate(loaded.frame_names):
        entries.setdefault(name, []).append(index)
    return np.array([index for name in names for index in entries[name]], np.intp)
