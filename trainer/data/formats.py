"""The supported layouts of a data set, one line each."""

import zipfile
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.sources.recording.format import RECORDING_NAME
from trainer.data import severstal
from trainer.data.coco import Coco
from trainer.data.dataset import Dataset
from trainer.data.faults import Complain, refuse
from trainer.data.label_maps import LabelMaps
from trainer.data.other_tools import format_of
from trainer.data.severstal import Severstal

FORMATS: Final = (
    (Severstal, "train_images/ with train.csv (Kaggle's Severstal as downloaded and unzipped)"),
    (LabelMaps, "images/ with masks/ (same stems, label-map PNGs 0..K)"),
    (Coco, "annotations.json (COCO, polygons or RLE) with its images"),
)


REJECT_CROPS: Final = "*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-*.png"
"""Names of the crops in a line's folder of rejects."""


def open_dataset(root: Path, complain: Complain = refuse) -> Dataset:
    """Open the data set in `root` and detect its layout.

    Entries at fault go to `complain`, which raises by default. Raises InputError for a folder without a readable
    data set.
    """
    if root.suffix.lower() == ".zip" and root.is_file():
        raise InputError(_about_zip(root))
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: --data takes a folder with {_expected()}")
    for layout, _ in FORMATS:
        if layout.detect(root):
            return layout.open(root, complain)
    raise InputError(_what_is_missing(root))


def _what_is_missing(root: Path) -> str:
    """Why `root` is not a data set; names the traces of an interrupted download or unzipping."""
    for path in sorted(root.glob("*.zip")):
        return _about_zip(path)
    table, images = root / severstal.CSV_NAME, root / severstal.IMAGES_NAME
    if table.is_file():
        return f"{images}: missing, though {table.name} is there: was the download or the unzipping interrupted?"
    if (root / RECORDING_NAME).is_file():
        return (
            f"{root}: is a recording, without labels: `trainer import recording {root} OUT` makes a data set of it"
        )
    if any(root.glob(REJECT_CROPS)):
        return f"{root}: are the rejects of a line: `trainer import rejects {root} OUT` makes a data set of them"
    if images.is_dir():
        return f"{table}: missing, though {images.name}/ is there: was the download or the unzipping interrupted?"
    if name := format_of(root):
        return f"{root}: looks like labels of {name}: `trainer import {name} {root} OUT` makes a data set of them"
    return f"{root}: no data set here: need {_expected()}; `trainer import` reads other tools' labels"


def _about_zip(path: Path) -> str:
    # A zip's table of contents is at its end: a file that was cut off has none.
    if not zipfile.is_zipfile(path):
        return f"{path}: not a whole zip: was the download interrupted? Fetch it again and unzip it"
    return f"{path}: is still zipped: unzip it, then name the folder"


def _expected() -> str:
    return ", or ".join(text for _, text in FORMATS)
