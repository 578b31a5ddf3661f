"""Writes simulated frames in the layout of Kaggle's Severstal data: training material without a line."""

import csv
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

import cv2

from inspector.errors import InputError, WorkError
from inspector.sources.simulator import CLASS_NAMES, SimulatedFrame, StripSettings, strip
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.data.rle import encode

JPEG_QUALITY: Final = 95
"""JPEG quality of simulated frames. Kaggle's frames are JPEGs, too; at 95 a hair crack survives."""
COIL_FRAMES: Final = 6
"""Frames per coil. Coils are short because a net learns from many appearances of steel, not from many frames of
one."""
HEADER: Final = ("ImageId", "ClassId", "EncodedPixels")


def simulate(
    out: Path,
    frames: int,
    seed: int,
    *,
    defective_share: float = 0.5,
    height: int = 256,
    width: int = 1600,
    show_progress: bool = False,
) -> None:
    """Write `frames` simulated frames and their masks to the folder `out`, all of them or nothing.

    `out` gets `train_images/*.jpg`, `train.csv` (defective frames only, column-major runs from 1) and
    `classes.json` (normal first). Raises InputError for wrong arguments or an `out` that is in use, WorkError if
    an image cannot be written.
    """
    if frames < 1:
        raise InputError(f"--frames must be at least 1, got {frames}")
    check_is_new(out)
    try:
        settings = StripSettings(
            seed=seed, height=height, width=width, defective_share=defective_share, coil_frames=COIL_FRAMES
        )
    except ValueError as error:
        raise InputError(f"cannot simulate: {error}") from None
    with new_folder(out) as building:
        rolling = bar(islice(strip(settings), frames), "simulating", total=frames, show=show_progress)
        _write(building, rolling, seed)


def _write(folder: Path, frames: Iterable[SimulatedFrame], seed: int) -> None:
    images = folder / "train_images"
    images.mkdir()
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for index, frame in enumerate(frames):
            name = f"s{seed}-{index:06d}.jpg"
            if not cv2.imwrite(str(images / name), frame.pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
                raise WorkError(f"cannot write {images / name}: is the disk full?")
            for kind in range(1, len(CLASS_NAMES) + 1):
                mask = frame.label == kind
                if mask.any():
                    table.writerow((name, kind, encode(mask)))
    classes = json.dumps(["normal", *CLASS_NAMES]) + "\n"
    (folder / "classes.json").write_text(classes, encoding="utf-8")
