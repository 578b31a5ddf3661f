"""Reads folders of masks: images beside masks in many layouts, Pascal VOC, MVTec."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inspector.errors import InputError
from inspector.images import ImageFault
from trainer.data.dataset import read_classes
from trainer.data.faults import Complain, Fault
from trainer.data.importing.mask_values import Colour, Values, find_values, read_picture
from trainer.data.importing.source import (
    PARTS,
    Mark,
    Options,
    Size,
    Source,
    SourceFrame,
    images_below,
    part_of,
)

MASK_FOLDERS: Final = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "gt",
        "groundtruth",
        "ground_truth",
        "annotation",
        "annotations",
        "seg",
        "segmentation",
        "segmentations",
        "labelmaps",
        "label_maps",
    ]
)
"""Folders that hold masks, lower case."""
_AFFIX: Final = re.compile(
    r"^(?:mask|label|gt|seg)[_-]|[_-](?:masks?|labels?|gt|seg|segmentation|labelids|l)$|\.(?:jpe?g|png|bmp|tiff?)$",
    re.IGNORECASE,
)
"""Suffixes and prefixes of mask names that image names lack."""
IMAGE_FOLDERS: Final = frozenset(["image", "images", "img", "imgs", "jpegimages", "frames", "pictures", "photos"])
"""Folders that hold images, lower case."""
LOSSY: Final = frozenset([".jpg", ".jpeg"])
"""Endings of images; of two files with one name, the other one is the mask."""
WHITE: Final = 128
"""Masks that all reach this value are black and white, even smoothed ones; so are masks with one value."""
VOID: Final = 255
"""Value of Pascal VOC's borders without a class."""
GOOD: Final = "good"
"""MVTec's folder of normal frames."""


def read_masks(root: Path, options: Options) -> Source:
    """Read images and masks: two folders, one folder (a_mask.png, or a.png beside a.jpg), or a folder per kind."""
    masks, images = _sorted_out(root)
    if not masks or not images:
        first = (masks or images)[0].relative_to(root)
        raise InputError(
            f"{root}: no {'images' if masks else 'masks'} here, only such as {first}: masks lie in a folder "
            "called masks, or have names such as a_mask.png, or a.png beside a.jpg"
        )
    by_key = {(part_of(path, root), path.stem): path for path in images}
    by_key |= {(None, path.stem): path for path in images}
    found: dict[Path, list[tuple[str | None, Path]]] = {}
    orphans = []
    for path in masks:
        image = _image_of(path, root, by_key)
        if image is None:
            orphans.append(path)
        else:
            found.setdefault(image, []).append((_kind(path, root), path))
    found = _kinds_by_folder(found, root, options)
    if not found:
        raise InputError(
            f"{root}: no mask has an image of its name: masks are such as {masks[0].relative_to(root)}, images "
            f"such as {images[0].relative_to(root)}: give both the same name, or a mask the image's name and _mask"
        )
    if orphans:
        raise InputError(
            f"{root}: {len(orphans)} masks have no image: the first is {orphans[0].relative_to(root)}: add the "
            "images, or remove the masks"
        )
    plain = [path for pairs in found.values() for kind, path in pairs if kind is None]
    stated = options if options.classes else replace(options, classes=_classes_beside(masks, root))
    values = find_values(plain, stated, root) if plain else None
    kinds = sorted({kind for pairs in found.values() for kind, _ in pairs if kind is not None})
    frames = [
        SourceFrame(
            image,
            found[image][0][1] if image in found else image,
            partial(_draw, found[image], values) if image in found else None,
            _size(found[image][0][1]) if image in found else None,
            part_of(image, root),
        )
        for image in images
    ]
    return Source(frames, [*(values.classes if values else ()), *kinds])


def _classes_beside(masks: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return the names in the nearest classes.json from the masks' folder up to `root`; empty without one."""
    folder = masks[0].parent
    while True:
        if names := read_classes(folder):
            return tuple(names)
        if folder in (root, folder.parent):
            return ()
        folder = folder.parent


def _size(mask: Path) -> Size | None:
    """Return a mask's height and width from its header; None if unreadable, which is reported when it is drawn."""
    try:
        with Image.open(mask) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):
        return None


def _sorted_out(root: Path) -> tuple[list[Path], list[Path]]:
    """Return (masks, images) below `root`: by folder if one has a name for masks, else by file name or ending."""
    found = images_below(root)
    masks = [p for p in found if {part.lower() for part in p.relative_to(root).parts[:-1]} & MASK_FOLDERS]
    masks = masks or [path for path in found if _AFFIX.search(path.stem)] or _beside_photographs(found)
    taken = set(masks)
    return masks, [path for path in found if path not in taken]


def _beside_photographs(found: Sequence[Path]) -> list[Path]:
    """Return the files that have the folder and the name of a JPEG: a.png beside a.jpg."""
    photographs = {path.with_suffix("") for path in found if path.suffix.lower() in LOSSY}
    return [path for path in found if path.suffix.lower() not in LOSSY and path.with_suffix("") in photographs]


def _kinds_by_folder(
    found: Mapping[Path, list[tuple[str | None, Path]]], root: Path, options: Options
) -> dict[Path, list[tuple[str | None, Path]]]:
    """Let the folders name the classes if `options` says so; masks that their values or folders name stay.

    Raises InputError if black-and-white masks with defects lie in several folders and nothing is stated.
    """
    if options.values or options.colours or options.classes:
        return dict(found)
    folders: dict[Path, str | None] = {}
    drawn: dict[int, Path] = {}  # highest value -> a mask that has it
    for kind, path in (pair for pairs in found.values() for pair in pairs):
        own = _own_folder(path, root)
        if kind is not None or (own is None and not options.by_folder):
            continue
        if own is None:
            raise InputError(
                f"{path}: lies in no folder that names its class: move it, or remove it and its image"
            )
        if highest := _highest(path):
            drawn.setdefault(highest, path)
        folders[path] = own if highest else None
    if len(drawn) > 1 and min(drawn) < WHITE:  # label maps
        if options.by_folder:
            low, high = min(drawn), max(drawn)
            raise InputError(
                f"{root}: --by-folder: {drawn[low].name} holds values up to {low}, {drawn[high].name} up to "
                f"{high}: the values name the classes"
            )
        return dict(found)
    named = sorted({name for name in folders.values() if name is not None})
    if not options.by_folder:
        if len(named) < 2:
            return dict(found)
        some = ", ".join(named[:4]) + (" …" if named[4:] else "")
        raise InputError(
            f"{root}: masks are black and white, in the folders {some}: "
            "state --by-folder if each folder holds one class, or --value 255=defect if all are one class"
        )
    if not named:
        raise InputError(f"{root}: --by-folder: no folder holds a mask with a defect")
    return {
        image: [
            (kind or folders.get(path) or named[0], path) for kind, path in pairs
        ]  # a black mask draws nothing
        for image, pairs in found.items()
    }


def _own_folder(path: Path, root: Path) -> str | None:
    """Return the nearest folder of a mask whose name says more than train, images or masks; None without one."""
    for name in reversed(path.relative_to(root).parts[:-1]):
        if name.lower() not in PARTS and name.lower() not in MASK_FOLDERS | IMAGE_FOLDERS:
            return name
    return None


def _highest(path: Path) -> int:
    """Return a mask's highest value; 0 if unreadable, which is reported when it is drawn."""
    try:
        return int(read_picture(path).max(initial=0))
    except ImageFault:
        return 0


def _image_of(mask: Path, root: Path, images: Mapping[tuple[str | None, str], Path]) -> Path | None:
    """Find a mask's image by its stem, with or without the mask suffix; images of the same part come first."""
    part, stem = part_of(mask, root), mask.stem
    while True:
        found = images.get((part, stem)) or images.get((None, stem))
        shorter = _AFFIX.sub("", stem)
        if found is not None or shorter in ("", stem):
            return found
        stem = shorter


def _kind(path: Path, root: Path) -> str | None:
    """Return the kind that a mask's folder names; None if it names none."""
    folders = path.relative_to(root).parts[:-1]
    below = [at for at, name in enumerate(folders) if name.lower() in MASK_FOLDERS]
    inner = [name for name in folders[below[0] + 1 :] if name.lower() not in PARTS] if below else []
    return inner[-1] if inner else None


def _draw(
    pairs: Sequence[tuple[str | None, Path]], values: Values | None, size: Size, complain: Complain
) -> list[Mark]:
    """Return the marks of a frame's masks: one class each if the folder names it, else by their values."""
    marks: list[Mark] = []
    for kind, path in pairs:
        try:
            if kind is None:
                own = values.marks(path) if values is not None else []
                shape = read_picture(path).shape[:2]
            else:
                picture = read_picture(path)
                shape = picture.shape[:2]
                grey = picture if picture.ndim == 2 else picture.max(axis=2)
                drawn = grey > grey.max() // 2 if grey.any() else np.zeros(shape, np.bool_)
                own = [Mark(kind, drawn, path.name)] if drawn.any() else []
        except ImageFault as error:
            complain(Fault("unreadable mask", path, str(error)))
            continue
        if shape != size:
            text = f"mask is {shape[0]}×{shape[1]} px but its image is {size[0]}×{size[1]}: export it at that size"
            complain(Fault("mask of another size", path, text))
            continue
        marks += own
    return marks


def read_voc(root: Path, options: Options) -> Source:
    """Read Pascal VOC: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/, and CVAT's labelmap.txt."""
    images, masks = root / "JPEGImages", root / "SegmentationClass"
    if not images.is_dir() or not masks.is_dir():
        has_boxes = (root / "Annotations").is_dir()
        raise InputError(
            f"{root}: no {images.name}/ with {masks.name}/ here"
            + (": its Annotations/ hold boxes, not masks: export segmentation" if has_boxes else "")
        )
    by_stem = {path.stem: path for path in images_below(masks)}
    colours = _labelmap(root / "labelmap.txt")
    stated = (
        replace(options, colours=colours) if colours and not options.values and not options.classes else options
    )
    if stated.ignore is None:
        stated = replace(stated, ignore=VOID)
    values = find_values(by_stem.values(), stated, root)
    parts: dict[str, str] = {}
    for listed in sorted((root / "ImageSets" / "Segmentation").glob("*.txt")):
        if listed.stem.lower() in PARTS:
            parts |= {name: PARTS[listed.stem.lower()] for name in listed.read_text(encoding="utf-8-sig").split()}
    frames = []
    for path in images_below(images):
        mask = by_stem.get(path.stem)
        draw = None if mask is None else partial(_draw, [(None, mask)], values)
        size = None if mask is None else _size(mask)
        frames.append(SourceFrame(path, mask or path, draw, size, parts.get(path.stem)))
    if all(frame.draw is None for frame in frames):
        raise InputError(
            f"{root}: no image has a mask: images are such as {frames[0].image.name}, masks such as "
            f"{next(iter(by_stem.values())).name}"
        )
    return Source(frames, values.classes)


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
    frames = []
    for path in images_below(root):
        folders = path.relative_to(root).parts[:-1]
        if folders[0] == truth.name or len(folders) < 2:
            continue
        kind = folders[-1]
        if kind == GOOD:
            frames.append(SourceFrame(path, path, lambda _size, _complain: []))
            continue
        places = [truth / kind / f"{stem}.png" for stem in (f"{path.stem}_mask", path.stem)]
        mask = next((place for place in places if place.is_file()), None)
        draw = None if mask is None else partial(_draw, [(kind, mask)], None)
        frames.append(SourceFrame(path, mask or places[0], draw))
    notes = ["its train/ holds good frames only: use `trainer split`, its parts are not kept"]
    return Source(frames, sorted(path.name for path in truth.iterdir() if path.is_dir()), notes=notes)
