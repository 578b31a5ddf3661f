"""Frames of the comparison: loaded once for all runs, with one split. No choice is made on the test part."""

from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from trainer.data.dataset import Dataset
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames
from trainer.data.look_alikes import group
from trainer.data.split import PARTS, Split, make_split, read_split, split_dataset, write_split
from trainer.reproduce.protocol import Protocol
from trainer.training.settings import SPLIT_NAME
from trainer.training.training_data import TrainingData, training_data

VAL_SHARE: Final = 0.05
"""Share of validation frames. It only draws the curve: the last weights are compared, not the best."""
TEST_SHARE: Final = 0.2
SPLIT_SEED: Final = 1

QUICK_FRAMES: Final = {"train": 160, "val": 16, "test": 80}
"""Enough frames to run everything in a minute or two, and too few for a meaningful figure."""

MIN_NORMAL_SHARE: Final = 0.05
"""Least share of normal training frames for learning from whole frames."""
TILES_A_SIDE: Final = 4
MIN_TILE_PX: Final = 32


def load_comparison(protocol: Protocol, out: Path) -> TrainingData:
    """Load the frames of all parts and the split; the first start writes the split to `out`, later starts read it.

    Raises InputError for a fault in the data set or split.
    """
    dataset = open_dataset(protocol.data)
    stored = out / SPLIT_NAME
    if stored.exists():
        split = _with_test(stored, read_split(stored, dataset))
    else:
        split = _first_split(protocol, dataset)
        write_split(stored, split)
    names = [name for part in PARTS for name in split[part]]
    loaded = load_frames(dataset, names, show_progress=True, scratch=out)
    return training_data(loaded, dataset.classes, split)


def _first_split(protocol: Protocol, dataset: Dataset) -> Split:
    if protocol.split is not None:
        split = _with_test(protocol.split, read_split(protocol.split, dataset))
        return {part: _some(split[part], QUICK_FRAMES[part]) for part in PARTS} if protocol.quick else split
    if not protocol.quick:
        return split_dataset(dataset, VAL_SHARE, TEST_SHARE, SPLIT_SEED, show_progress=True).split
    names = _some(dataset.names, sum(QUICK_FRAMES.values()))
    loaded = load_frames(dataset, names, show_progress=True)
    count = sum(QUICK_FRAMES.values())
    return make_split(
        names,
        loaded.present,
        QUICK_FRAMES["val"] / count,
        SPLIT_SEED,
        test_share=QUICK_FRAMES["test"] / count,
        groups=group(loaded.frames),
    )


def _with_test(path: Path, split: Split) -> Split:
    """Use the validation part as the test part if there is no test part: nothing is chosen on it here."""
    if not split["test"]:
        split = {**split, "test": split["val"], "val": []}
    if not split["train"] or not split["test"]:
        raise InputError(f"{path}: needs frames in train, and in test or val")
    if not split["val"]:
        kept = max(1, round(len(split["train"]) * VAL_SHARE))
        shuffled = _some(split["train"], len(split["train"]))
        split = {**split, "train": shuffled[kept:], "val": shuffled[:kept]}
    if not split["train"]:
        raise InputError(f"{path}: one frame in train is too few")
    return split


def _some(names: list[str], count: int) -> list[str]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(names))[:count]
    return [names[index] for index in order]


def cnn_tile(data: TrainingData) -> tuple[int, int] | None:
    """Height and width of the tile that the cnn decides on, px; None for the whole frame.

    Tiles are used if nearly all training frames are defective.
    """
    defective = data.loaded.present[data.train, 1:].any(axis=1)
    if (~defective).mean() >= MIN_NORMAL_SHARE:
        return None
    height, width = (max(side // TILES_A_SIDE, min(side, MIN_TILE_PX)) for side in data.loaded.size)
    return height, width
