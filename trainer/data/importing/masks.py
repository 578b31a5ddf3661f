"""Reads folders of masks: images beside masks in many layouts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from inspector.errors import InputError
from inspector.images import ImageFault
from trainer.data.dataset import read_classes
from trainer.data.faults import Complain, Fault
from trainer.data.importing.mask_values import Values, find_values, read_picture
from trainer.data.importing.pairing import Folders, folders_of, kind_of, own_folder, pair, sort_out
from trainer.data.importing.palettes import check_palettes
from trainer.data.importing.source import (
    Mark,
    Options,
    Size,
    Source,
    SourceFrame,
    part_of,
)
from trainer.data.label_maps import MAX_GUESSED_KINDS

WHITE: Final = 128
"""Masks that all reach this value are black and white, even smoothed ones; so are masks with one value."""
SQUARE_PX: Final = 3
"""Side of the area that a value of a label map fills; the values of smoothed edges fill none."""
FEW: Final = 3
"""Most values besides 0 that smoothing cannot explain: it leaves many."""


def read_masks(root: Path, options: Options) -> Source:
    """Read images and masks: two folders, one folder (a_mask.png, or a.png beside a.jpg), or a folder per kind."""
    masks, images = sort_out(root)
    if not masks or not images:
        first = (masks or images)[0].relative_to(root)
        raise InputError(
            f"{root}: no {'images' if masks else 'masks'} here, only such as {first}: masks lie in a folder "
            "called masks, or have names such as a_mask.png, or a.png beside a.jpg"
        )
    folders = {path: folders_of(path, root) for path in images}
    paired, orphans = pair({path: folders_of(path, root) for path in masks}, folders, root)
    kind_by_mask = _kinds(paired, folders, root, options)
    found: dict[Path, list[tuple[str | None, Path]]] = {}
    for path, image in paired.items():
        found.setdefault(image, []).append((kind_by_mask[path], path))
    if not found:
        raise InputError(
            f"{root}: no mask has an image of its name: masks are such as {masks[0].relative_to(root)}, images "
            f"such as {images[0].relative_to(root)}: give both the same name, or a mask the image's name and _mask"
        )
    refuse_orphans(orphans, root)
    found = _kinds_by_folder(found, root, options)
    plain = [path for pairs in found.values() for kind, path in pairs if kind is None]
    stated = options if options.classes else replace(options, classes=_classes_beside(masks, root))
    values = find_values(plain, stated, root) if plain else None
    of_kinds = [path for pairs in found.values() for kind, path in pairs if kind is not None]
    check_palettes(of_kinds, is_0_stated=False)
    kinds = sorted({kind for pairs in found.values() for kind, _ in pairs if kind is not None})
    frames = [
        SourceFrame(
            image,
            found[image][0][1] if image in found else image,
            partial(draw_masks, found[image], values) if image in found else None,
            size_of(found[image][0][1]) if image in found else None,
            part_of(image, root),
        )
        for image in images
    ]
    return Source(frames, [*(values.classes if values else ()), *kinds])


def refuse_orphans(orphans: Sequence[Path], root: Path) -> None:
    """Raise InputError if there is a mask without an image."""
    if orphans:
        raise InputError(
            f"{root}: {len(orphans)} masks have no image: the first is {orphans[0].relative_to(root)}: add the "
            "images, or remove the masks"
        )


def _kinds(
    paired: Mapping[Path, Path], images: Mapping[Path, Folders], root: Path, options: Options
) -> dict[Path, str | None]:
    """Return the class that each mask's folder names; None where stated options or the mask's values name it."""
    if (options.values or options.colours or options.classes) and not options.by_folder:
        return dict.fromkeys(paired)
    kinds = {path: kind_of(path, root, images[image]) for path, image in paired.items()}
    several = next((path for path, kind in kinds.items() if kind is not None and _holds_several(path)), None)
    if several is None:
        return kinds
    if options.by_folder:
        raise InputError(f"{several}: --by-folder: holds several values, which name the classes")
    return dict.fromkeys(paired)


def _holds_several(path: Path) -> bool:
    """Whether a mask is a label map: it has areas of several values, which are not the noise of smoothed edges."""
    try:
        picture = read_picture(path)
    except ImageFault:
        return False  # reported when it is drawn
    if picture.ndim == 3:
        return False
    found, counts = np.unique(picture[picture > 0], return_counts=True)
    if len(found) < 2 or found[-1] < WHITE:
        return 2 <= len(found) <= MAX_GUESSED_KINDS
    area = np.ones((SQUARE_PX, SQUARE_PX), np.uint8)
    margin = int(found[-1]) // 8
    return any(
        cv2.erode((picture == value).astype(np.uint8), area, borderType=cv2.BORDER_CONSTANT).any()
        for value, count in zip(found[:-1].tolist(), counts.tolist(), strict=False)
        if count >= area.size and (len(found) <= FEW or margin < value < int(found[-1]) - margin)
    )


def _classes_beside(masks: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return the names in the nearest classes.json from the masks' folder up to `root`; empty without one."""
    folder = masks[0].parent
    while True:
        if names := read_classes(folder):
            return tuple(names)
        if folder in (root, folder.parent):
            return ()
        folder = folder.parent


def size_of(mask: Path) -> Size | None:
    """Return a mask's height and width from its header; None if unreadable, which is reported when it is drawn."""
    try:
        with Image.open(mask) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):
        return None


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
    several = None
    for kind, path in (one for pairs in found.values() for one in pairs):
        own = own_folder(path, root)
        if kind is not None or (own is None and not options.by_folder):
            continue
        if own is None:
            raise InputError(
                f"{path}: lies in no folder that names its class: move it, or remove it and its image"
            )
        if highest := _highest(path):
            drawn.setdefault(highest, path)
            several = several or (path if _holds_several(path) else None)
        folders[path] = own if highest else None
    if several is not None and options.by_folder:
        raise InputError(f"{several}: --by-folder: holds several values, which name the classes")
    if several is not None or (len(drawn) > 1 and min(drawn) < WHITE):  # label maps
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
            f"{root}: masks are black and white, in the folders {some}: state "
            f"--by-folder if each folder holds one class, or --value {max(drawn)}=defect if all are one class"
        )
    if not named:
        raise InputError(f"{root}: --by-folder: no folder holds a mask with a defect")
    return {
        image: [
            (kind or folders.get(path) or named[0], path) for kind, path in pairs
        ]  # a black mask draws nothing
        for image, pairs in found.items()
    }


def _highest(path: Path) -> int:
    """Return a mask's highest value; 0 if unreadable, which is reported when it is drawn."""
    try:
        return int(read_picture(path).max(initial=0))
    except ImageFault:
        return 0


def draw_masks(
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
