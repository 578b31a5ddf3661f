"""Joins data sets into one, so that a network learns from the old frames and the new.

A frame keeps its part: the validation and test frames of the first data set's split stay what they are, so that
figures before and after can be compared. Frames of the others are dealt out by seed, look-alikes together.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.errors import InputError, WorkError
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.data.class_order import match_classes
from trainer.data.corrections import IMAGES, read_corrections, write_corrections
from trainer.data.dataset import CLASSES_NAME, Dataset
from trainer.data.flat_names import flat_stems
from trainer.data.formats import open_dataset
from trainer.data.label_maps import IMAGES_NAME, MASKS_NAME
from trainer.data.look_alikes import find_pairs, join, look
from trainer.data.split import Split, make_split
from trainer.data.split_file import PARTS, freeze

SPLIT_NAME: Final = "split.json"


@dataclass(slots=True)
class Combined:
    """The data set that was written."""

    classes: tuple[str, ...]
    frames: dict[str, int] = field(default_factory=dict)
    """Data set → its frames."""
    parts: dict[str, int] = field(default_factory=dict)
    """Part of the split → its frames."""
    left_out: int = 0
    """New frames that look like a validation or test frame of the first data set."""
    in_no_part: int = 0
    """Frames of the first data set that its split does not name; they are left out, too."""


def combine(
    datasets: Sequence[Dataset],
    split: Split | None,
    out: Path,
    *,
    val_share: float,
    seed: int,
    show_progress: bool,
) -> Combined:
    """Write the frames of all data sets to `out`, whole or not at all; `split` is the first one's.

    Classes are those of the first, by name. A new frame that shows the same steel as a validation or test frame of
    the first is left out: a network that learned from it would look better than it is. Raises InputError for data
    sets that do not fit.
    """
    check_is_new(out)
    if len(datasets) < 2:
        raise InputError("name two data sets or more: the old one first")
    first = datasets[0]
    result = Combined(first.classes)
    numbers = [_numbers(first, dataset) for dataset in datasets]
    with new_folder(out) as building:
        for name in (IMAGES_NAME, MASKS_NAME):
            (building / name).mkdir()
        stems = _stems(datasets)
        written = [
            _copy_all(building, dataset, numbering, own, show_progress=show_progress)
            for dataset, numbering, own in zip(datasets, numbers, stems, strict=True)
        ]
        parts = _deal(written, split, val_share, seed)
        kept = {name for names in parts.values() for name in names}
        dropped = [each.name for of_set in written for each in of_set if each.name not in kept]
        for name in dropped:
            (building / IMAGES_NAME / name).unlink()
            (building / MASKS_NAME / f"{Path(name).stem}.png").unlink()
        (building / CLASSES_NAME).write_text(
            json.dumps(first.classes, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        write_corrections(building, _corrections(datasets, written, kept))
        about = {"made_by": "trainer combine", "seed": seed, "val_share": val_share}
        freeze(building / SPLIT_NAME, parts, open_dataset(building), about, show_progress=show_progress)
    result.frames = {str(d.root): sum(e.name in kept for e in w) for d, w in zip(datasets, written, strict=True)}
    result.parts = {part: len(names) for part, names in parts.items()}
    result.in_no_part = sum(each.name not in kept for each in written[0])
    result.left_out = len(dropped) - result.in_no_part
    return result


@dataclass(frozen=True, slots=True)
class _Written:
    """One copied frame."""

    source: str
    """Its name in its own data set."""
    name: str
    present: np.ndarray[tuple[int], np.dtype[np.bool_]]
    pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
    """Shrunk, for comparisons."""


def _numbers(first: Dataset, dataset: Dataset) -> list[int]:
    """Class number in the first data set of each class of another. Raises InputError for an unknown class."""
    numbers, _ = match_classes(first.classes, dataset.classes, str(first.root), str(dataset.root))
    return numbers


def _stems(datasets: Sequence[Dataset]) -> list[list[str]]:
    """Names without ending for the frames of each data set, all different; those of the first keep theirs."""
    found: list[list[str]] = []
    for index, dataset in enumerate(datasets):
        images = [path.relative_to(dataset.root) for path in dataset.images.values()]
        taken = [stem for stems in found for stem in stems]
        found.append(flat_stems(images, f"{index}-" if index else "", taken))
    return found


def _copy_all(
    building: Path, dataset: Dataset, numbers: list[int], stems: Sequence[str], *, show_progress: bool
) -> list[_Written]:
    table = np.zeros(256, np.uint8)
    table[: len(numbers)] = numbers
    written = []
    names = bar(dataset.names, f"copying {dataset.root.name}", total=len(dataset.names), show=show_progress)
    for source, stem in zip(names, stems, strict=True):
        name = f"{stem}{dataset.images[source].suffix}"
        pixels = dataset.frame(source)
        label = table[dataset.label(source, (pixels.shape[0], pixels.shape[1]))]
        shutil.copyfile(dataset.images[source], building / IMAGES_NAME / name)
        done, encoded = cv2.imencode(".png", label, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise WorkError(f"{name}: its mask cannot be written as PNG")
        (building / MASKS_NAME / f"{Path(name).stem}.png").write_bytes(encoded.tobytes())
        present = np.bincount(label.ravel(), minlength=len(dataset.classes))[:256] > 0
        small = np.asarray(cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
        written.append(_Written(source, name, present, small))
    return written


def _deal(written: Sequence[Sequence[_Written]], split: Split | None, val_share: float, seed: int) -> Split:
    old, new = list(written[0]), [each for of_set in written[1:] for each in of_set]
    kinds = max(len(each.present) for each in [*old, *new])
    present = np.stack([np.pad(each.present, (0, kinds - len(each.present))) for each in [*old, *new]])
    everything = [*old, *new]
    pairs = find_pairs([look(each.pixels) for each in everything])
    groups = join(len(everything), ((pair.first, pair.second) for pair in pairs))
    if split is None:
        own = _renumbered(groups[: len(old)])
        split = make_split([each.source for each in old], present[: len(old)], val_share, seed, groups=own)
    name_of = {each.source: each.name for each in old}
    parts: Split = {part: [name_of[source] for source in split.get(part, [])] for part in PARTS}
    held_out = {name for part in ("val", "test") for name in parts[part]}
    guarded = {int(groups[index]) for index, each in enumerate(old) if each.name in held_out}
    trained_on = {int(group) for group in groups[: len(old)]} - guarded
    fresh = []
    for index in range(len(old), len(everything)):
        group = int(groups[index])
        if group in trained_on:  # the same steel must not be in training and in validation
            parts["train"].append(everything[index].name)
        elif group not in guarded:
            fresh.append(index)
    if len(fresh) < 2:
        parts["train"] += [everything[index].name for index in fresh]
        return parts
    dealt = make_split(
        [everything[index].name for index in fresh],
        present[fresh],
        val_share,
        seed,
        groups=_renumbered(groups[fresh]),
    )
    for part in PARTS:
        parts[part] += dealt[part]
    return parts


def _renumbered(groups: np.ndarray[tuple[int], np.dtype[np.intp]]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)


def _corrections(
    datasets: Sequence[Dataset], written: Sequence[Sequence[_Written]], kept: set[str]
) -> list[dict[str, object]]:
    entries = []
    for dataset, frames in zip(datasets, written, strict=True):
        name_of = {each.source: each.name for each in frames}
        for entry in read_corrections(dataset.root):
            names = [name for image in entry[IMAGES] if (name := name_of.get(image)) in kept]
            entries.append({**entry, IMAGES: names})
    return entries
