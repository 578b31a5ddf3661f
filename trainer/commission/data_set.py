"""The data set of a commissioning: own frames as they are, called sound, and again with drawn defects on them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inspector.files import write_whole
from inspector.sources.simulator import CLASS_NAMES, StripSettings, drawn_on
from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import new_folder
from trainer.commission.own_frames import write_png
from trainer.commission.transplant import Cutting
from trainer.data.dataset import CLASSES_NAME
from trainer.data.formats import open_dataset
from trainer.data.label_maps import IMAGES_NAME, MASKS_NAME
from trainer.data.look_alikes import group
from trainer.data.split import make_split
from trainer.data.split_file import Split, freeze
from trainer.training.settings import SPLIT_NAME

WANTED_FRAMES: Final = 1500
"""Frames of the data set: few own frames are drawn on more often."""
MOST_DRAWINGS: Final = 8
"""Most times that one frame is drawn on: more show the same steel too often."""
HELD_OUT_DRAWINGS: Final = 1
"""Times that a held-out frame is drawn on: each validation of a training looks at all of them."""
TRANSPLANT_SHARE: Final = 0.5
"""Share of the defective frames that show transplanted defects instead of drawn ones, if there are any."""
MOST_TRANSPLANTS: Final = 3
BLEMISHES: Final = 0.25
"""Harmless simulated marks a frame, sound or not: a drawn line alone must not mean a defect."""
RECORDED_BLOCK: Final = 20
"""Frames of a recording that follow each other stay in one part: they show the same coil."""


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """The own frames that are taken as sound."""

    names: list[str]
    frames: list[Pixels]
    """Each uint8 [H, W]."""
    in_order: bool
    """Whether neighbours follow each other on the strip."""


def make_data_set(
    out: Path,
    steel: Backgrounds,
    held_out: float,
    seed: int,
    cuttings: list[Cutting],
    *,
    show_progress: bool = False,
) -> None:
    """Write the new folder `out` with a split; does nothing if it is there.

    The held-out frames become the validation part, as they are and with defects.
    """
    if out.exists():
        return
    split = _split(steel, held_out, seed)
    drawings = int(np.clip(round(WANTED_FRAMES / len(steel.names)) - 1, 1, MOST_DRAWINGS))
    classes = ["normal", *dict.fromkeys([*CLASS_NAMES, *(cutting.name for cutting in cuttings)])]
    part_of = {name: part for part, names in split.items() for name in names}
    parts: Split = {"train": [], "val": [], "test": []}
    with new_folder(out) as building:
        for folder in (IMAGES_NAME, MASKS_NAME):
            (building / folder).mkdir()
        todo = [
            (index, number)
            for index, name in enumerate(steel.names)
            for number in range((drawings if part_of[name] == "train" else HELD_OUT_DRAWINGS) + 1)
        ]
        for index, number in bar(todo, "drawing defects", total=len(todo), show=show_progress):
            name = steel.names[index]
            pixels, label = _drawn(steel.frames[index], number, (seed, index, number), classes, cuttings)
            stem = f"{Path(name).stem}-{number}"
            write_png(building / IMAGES_NAME / f"{stem}.png", pixels)
            write_png(building / MASKS_NAME / f"{stem}.png", label)
            parts[part_of[name]].append(f"{stem}.png")
        write_whole(building / CLASSES_NAME, (json.dumps(classes) + "\n").encode())
        about = {"seed": seed, "held_out": held_out}
        freeze(building / SPLIT_NAME, parts, open_dataset(building), about, show_progress=show_progress)


def _drawn(
    frame: Pixels, number: int, key: tuple[int, int, int], classes: list[str], cuttings: list[Cutting]
) -> tuple[Pixels, Pixels]:
    """The frame itself for number 0, else with defects; and its label."""
    if number == 0:
        return frame, np.zeros_like(frame)
    random = np.random.default_rng(key)
    transplants = bool(cuttings) and random.random() < TRANSPLANT_SHARE
    height, width = frame.shape
    settings = StripSettings(seed=key[0], height=height, width=width, coil_frames=1, blemishes_per_frame=BLEMISHES)
    drawn = drawn_on(frame, settings, key[1] * (MOST_DRAWINGS + 1) + number, defective=not transplants)
    pixels, label = drawn.pixels.copy(), drawn.label.copy()
    for _ in range(int(random.integers(1, MOST_TRANSPLANTS + 1)) if transplants else 0):
        cutting = cuttings[int(random.integers(len(cuttings)))]
        cutting.onto(pixels, label, classes.index(cutting.name), random)
    return pixels, label


def _split(steel: Backgrounds, held_out: float, seed: int) -> Split:
    """Training and held-out frames; look-alikes, and neighbours on the strip, stay together."""
    groups = group(steel.frames)
    if steel.in_order:
        groups = np.arange(len(steel.names)) // RECORDED_BLOCK
    present = np.zeros((len(steel.names), 2), np.bool_)
    present[:, 0] = True
    return make_split(steel.names, present, held_out, seed, groups=groups)
