"""Reads the masks of well-known data sets: Pascal VOC, MVTec."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from inspector.images import ImageFault
from trainer.data.importing.mask_values import find_values, read_picture
from trainer.data.importing.masks import draw_masks, refuse_orphans, size_of
from trainer.data.importing.pairing import folders_of, pair
from trainer.data.importing.palettes import Colour
from trainer.data.importing.source import PARTS, Options, Source, SourceFrame, images_below

VOID: Final = 255
"""Value of Pascal VOC's borders without a class."""
VOID_COLOUR: Final = (224, 224, 192)
"""Colour of these borders."""
_MASK_SUFFIX: Final = re.compile(r"_mask(_\d+)?$")
"""What follows an image's name in the names of its masks."""
GOOD: Final = "good"
"""MVTec's folder of normal frames."""


def read_voc(root: Path, options: Options) -> Source:
    """Read Pascal VOC: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/, and CVAT's labelmap.txt."""
    images, masks = root / "JPEGImages", root / "SegmentationClass"
    if not images.is_dir() or not masks.is_dir():
        has_boxes = (root / "Annotations").is_dir()
        raise InputError(
            f"{root}: no {images.name}/ with {masks.name}/ here"
            + (": its Annotations/ hold boxes, not masks: export segmentation" if has_boxes else "")
        )
    found = images_below(masks)
    paired, orphans = pair(
        {path: folders_of(path, masks) for path in found},
        {path: folders_of(path, images) for path in images_below(images)},
        root,
    )
    refuse_orphans(orphans if paired else [], root)
    by_image = {image: path for path, image in paired.items()}
    colours = _labelmap(root / "labelmap.txt")
    stated = (
        replace(options, colours=colours) if colours and not options.values and not options.classes else options
    )
    if VOID_COLOUR not in stated.colours:
        stated = replace(stated, void=VOID_COLOUR)
    if stated.ignore is None and VOID not in stated.values and not _are_black_and_white(found):
        stated = replace(stated, ignore=VOID)
    values = find_values(found, stated, root)
    parts: dict[str, str] = {}
    for listed in sorted((root / "ImageSets" / "Segmentation").glob("*.txt")):
        part = PARTS.get(listed.stem.lower())
        for name in listed.read_text(encoding="utf-8-sig").splitlines() if part is not None else ():
            name = name.strip()  # noqa: PLW2901
            if name and part is not None and parts.setdefault(name, part) != part:
                raise InputError(f"{listed}: {name} is in {parts[name]}, too: a frame has one part")
    frames = []
    for path in images_below(images):
        mask = by_image.get(path)
        draw = None if mask is None else partial(draw_masks, [(None, mask)], values)
        size = None if mask is None else size_of(mask)
        part = parts.get(path.relative_to(images).with_suffix("").as_posix()) or parts.get(path.stem)
        frames.append(SourceFrame(path, mask or path, draw, size, part))
    if all(frame.draw is None for frame in frames):
        raise InputError(
            f"{root}: no image has a mask: images are such as {frames[0].image.name}, masks such as "
            f"{found[0].name}"
        )
    return Source(frames, values.classes)


def _are_black_and_white(masks: Sequence[Path]) -> bool:
    """Whether the masks hold 0 and 255 only: then 255 is a defect, not a border."""
    return all(_holds_only(path, {0, VOID}) for path in masks)


def _holds_only(path: Path, values: set[int]) -> bool:
    try:
        return set(np.unique(read_picture(path)).tolist()) <= values
    except ImageFault:
        return True  # reported when it is drawn


def _labelmap(path: Path) -> dict[Colour, str]:
    """Return the colours of CVAT's labelmap.txt, lines "name:r,g,b:parts:actions"; empty without the file."""
    table: dict[Colour, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            name, _, rest = line.partition(":")
            numbers = rest.partition(":")[0].split(",")
            if (
                not line.startswith("#")
                and len(numbers) == 3
                and all(number.strip().isdigit() for number in numbers)
            ):
                red, green, blue = (int(number) for number in numbers)
                table[red, green, blue] = name
    return table


def read_mvtec(root: Path, options: Options) -> Source:
    """Read MVTec's layout: train/good/, test/KIND/ and ground_truth/KIND/ with one mask per frame."""
    del options
    truth = root / "ground_truth"
    if not truth.is_dir() or not (root / "test").is_dir():
        raise InputError(
            f"{root}: no test/ with ground_truth/ here: name the folder of one product, such as mvtec/tile"
        )
    masks: dict[tuple[str, str], list[Path]] = {}
    for mask in images_below(truth):
        masks.setdefault((mask.parent.name, _MASK_SUFFIX.sub("", mask.stem)), []).append(mask)
    frames = []
    for path in images_below(root):
        folders = path.relative_to(root).parts[:-1]
        if folders[0] == truth.name or len(folders) < 2:
            continue
        kind = folders[-1]
        if kind == GOOD:
            frames.append(SourceFrame(path, path, lambda _size, _complain: []))
            continue
        own = masks.pop((kind, path.stem), [])
        draw = partial(draw_masks, [(kind, mask) for mask in own], None) if own else None
        frames.append(SourceFrame(path, own[0] if own else path, draw))
    refuse_orphans([mask for own in masks.values() for mask in own], root)
    notes = ["its train/ holds good frames only: use `trainer split`, its parts are not kept"]
    return Source(frames, sorted(path.name for path in truth.iterdir() if path.is_dir()), notes=notes)
