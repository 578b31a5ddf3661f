"""Loads the frames of a run and their split, before the first step."""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.faults import refuse, refuse_aloud
from trainer.data.formats import open_dataset
from trainer.data.frames import LoadedFrames, load_frames
from trainer.data.look_alikes import group
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

    def indices(self, part: str) -> NDArray[np.intp]:
        """Indices of the frames in one part of the split."""
        place = {name: index for index, name in enumerate(self.loaded.names)}
        return np.array([place[name] for name in self.split[part]], np.intp)


def load_training_data(settings: TrainSettings, *, resume: bool) -> TrainingData:
    """Load frames and split; a resumed run reads the split that the first start wrote beside its checkpoints.

    Raises InputError for a fault in the data set or split.
    """
    dataset = open_dataset(settings.data, refuse_aloud if processes_here().is_first else refuse)
    stored = settings.out / SPLIT_NAME
    given = stored if resume and stored.exists() else settings.split
    split = None if given is None else read_split(given, dataset)
    names = dataset.names if split is None else [*split["train"], *split["val"]]
    loaded = load_frames(dataset, names, show_progress=True, scratch=settings.out)
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
    return training_data(loaded, dataset.classes, split)


def _make_split(loaded: LoadedFrames, settings: TrainSettings) -> Split:
    """Split by --val; look-alikes stay in one part."""
    return make_split(loaded.names, loaded.present, settings.val, settings.seed, groups=group(loaded.frames))


def training_data(loaded: LoadedFrames, classes: tuple[str, ...], split: Split) -> TrainingData:
    """Training data from loaded frames; prints a warning for classes that no training frame shows."""
    place = {name: index for index, name in enumerate(loaded.names)}
    train, val = (np.array([place[name] for name in split[part]], np.intp) for part in ("train", "val"))
    missing = [name for kind, name in enumerate(classes) if kind and not loaded.present[train, kind].any()]
    if missing and processes_here().is_first:
        print(f"trainer: warning: no training frame shows {', '.join(missing)}", file=sys.stderr)
    return TrainingData(loaded, classes, split, train, val)
