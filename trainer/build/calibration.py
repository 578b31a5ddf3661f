"""Labelled frames for a build: one part measures activation ranges, the other measures the quality loss."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from trainer.artifacts.card import Card
from trainer.data.class_order import in_classes, match_classes
from trainer.data.dataset import Dataset
from trainer.data.formats import open_dataset
from trainer.data.frames import LoadedFrames, load_frames

CALIBRATION_FRAMES: Final = 48
"""Frames that measure activation ranges. The ranges settle within a few dozen frames; more only take longer."""
LEAST_CALIBRATION_FRAMES: Final = 8
DEFECTIVE_SHARE: Final = 2 / 3
"""Share of defective frames among the calibration frames, if the data set has enough of them: defects drive
activations further than clean steel does."""
MEASURED_FRAMES: Final = 300
"""Most frames that measure the quality loss; ONNX Runtime needs 0.1 to 0.2 s for each."""
LOOKED_AT: Final = 4000
"""Most labels read to separate defective frames from clean ones."""
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two parts of a data set that share no frame."""

    folder: str
    """Name of the data folder, without its path."""
    ranges: LoadedFrames
    """Frames on which quantisation measures activation ranges."""
    judges: LoadedFrames
    """Frames on which the quality loss of the build is measured."""


def load_calibration(root: Path, card: Card, *, show_progress: bool = False) -> Calibration:
    """Divide the data set in `root` into the two parts, by seed.

    Raises InputError if there is no data set, if it does not fit the model, if it has too few frames, or if the
    second part shows no defect.
    """
    dataset = open_dataset(root)
    match_classes(card.classes, dataset.classes, f"the model {card.name}", f"--calibration {root}")
    if len(dataset.names) < 2 * LEAST_CALIBRATION_FRAMES:
        raise InputError(
            f"--calibration {root}: has {len(dataset.names)} frames, needs {2 * LEAST_CALIBRATION_FRAMES}: half "
            "to measure ranges, half to judge"
        )
    _check_size(dataset, dataset.names[0], card)
    ranges, judges = _deal(dataset, (card.height, card.width))
    calibration = Calibration(
        root.resolve().name,
        load_frames(dataset, ranges, show_progress=show_progress),
        in_classes(card.classes, dataset.classes, load_frames(dataset, judges, show_progress=show_progress)),
    )
    _check_size(dataset, judges[0], card)
    if not calibration.judges.present[:, 1:].any():
        raise InputError(f"--calibration {root}: too few frames with a labelled defect: none is left to measure the loss on")
    return calibration


def _check_size(dataset: Dataset, name: str, card: Card) -> None:
    height, width = dataset.frame(name).shape
    if (height, width) != (card.height, card.width):
        raise InputError(
            f"--calibration {dataset.images[name]}: frame is {height}×{width} px but the model takes "
            f"{card.height}×{card.width}: name frames of that size, or export the model for this one"
        )


def _deal(dataset: Dataset, size: tuple[int, int]) -> tuple[list[str], list[str]]:
    """Return (names for the ranges, names for the quality loss)."""
    random = np.random.default_rng(SEED)
    names = [dataset.names[place] for place in random.permutation(len(dataset.names))[:LOOKED_AT]]
    defective = {name: bool(dataset.label(name, size).any()) for name in names}
    shows = [name for name in names if defective[name]]
    clean = [name for name in names if not defective[name]]
    # At most half of the defective frames and half of the clean ones, so that both parts contain both.
    ranges = shows[: min(round(CALIBRATION_FRAMES * DEFECTIVE_SHARE), len(shows) // 2)]
    ranges += clean[: min(CALIBRATION_FRAMES - len(ranges), len(clean) // 2)]
    taken = set(ranges)
    return ranges, [name for name in names if name not in taken][:MEASURED_FRAMES]
