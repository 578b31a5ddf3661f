"""Reads labels listed for many images in one file: COCO, in one or several files, and Kaggle's Severstal table."""

import csv
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from trainer.data.coco import ROW_MAJOR, Annotation, check_document, read_document, without_headings
from trainer.data.coco_masks import MaskFault, decode_segmentation
from trainer.data.dataset import NORMAL_NAMES, read_classes
from trainer.data.faults import Complain, Fault
from trainer.data.importing.outlines import fill
from trainer.data.importing.regions import mask_fault, no_image, source_of
from trainer.data.importing.source import (
    ImageFinder,
    Mark,
    Options,
    Size,
    Source,
    SourceFrame,
    label_files,
    part_named,
    part_of,
    read_json,
)
from trainer.data.mask_order import looks_row_major
from trainer.data.rle import decode

TRAIN_IMAGES: Final = "train_images"
"""Kaggle's folder of the frames that train.csv is about."""


def read_coco(root: Path, options: Options) -> Source:
    """Read COCO: every .json of the folder with images and annotations, whatever its name."""
    folder, files = label_files(root, "*.json")
    if root.is_file() and root.parent.name == "annotations":
        folder = root.parent.parent  # COCO's own layout has the images beside annotations/
    finder = ImageFinder(folder)
    frames: list[SourceFrame] = []
    classes: list[str] = []
    for file in files:
        if not _is_coco(file, is_named=root.is_file()):
            continue
        document = read_document(file)
        check_document(file, document)
        categories = without_headings(document)
        names = {str(category.id): category.name for category in categories}
        classes += [category.name for category in categories]
        by_image: dict[str, list[Annotation]] = {}
        for annotation in document.annotations:
            by_image.setdefault(str(annotation.image_id), []).append(annotation)
        for image in document.images:
            path = finder.find(image.file_name, file)
            if path is None:
                raise InputError(no_image(file, image.file_name, finder))
            own = by_image.get(str(image.id), [])
            size = (image.height, image.width) if image.height and image.width else None
            draw = partial(_coco_marks, file, own, names, options)
            part = part_of(path, folder) or part_of(file, folder) or _part_in(file.stem)
            frames.append(SourceFrame(path, file, draw, size, part))
    return source_of(
        frames, finder, root, "COCO's .json with images and annotations", list(dict.fromkeys(classes))
    )


def _is_coco(file: Path, *, is_named: bool) -> bool:
    """Whether a file is to be read: what is not COCO is left out, unless it is the one that was named."""
    content = read_json(file)
    if not isinstance(content, dict) or "images" not in content or "annotations" not in content:
        return is_named
    if not _are_captions(content["annotations"]):
        return True
    if is_named:
        raise InputError(f"{file}: holds captions, no outlines: name the file called instances")
    return False


def _are_captions(annotations: object) -> bool:
    """Whether they are COCO's descriptions of whole images."""
    return isinstance(annotations, list) and bool(annotations) and "caption" in annotations[0]


def _part_in(stem: str) -> str | None:
    """Return the part that a file's name ends in, such as val for instances_val2017."""
    words = reversed(stem.replace("-", "_").split("_"))
    return next((part for word in words if (part := part_named(word))), None)


def _coco_marks(
    file: Path,
    annotations: list[Annotation],
    names: dict[str, str],
    options: Options,
    size: Size,
    complain: Complain,
) -> list[Mark]:
    marks = []
    for annotation in annotations:
        label = names.get(str(annotation.category_id))
        where = f"annotation {annotation.id} ({label})"
        if label is None:
            text = f"category {annotation.category_id} is not in the list of categories"
            complain(Fault("unknown class", file, text, annotation.id, where))
            continue
        given = annotation.segmentation
        try:
            if isinstance(given, list):  # a part of one or two corners has no area
                given = [part for part in given if not isinstance(part, list) or len(part) > 4] or given
            if options.clip and isinstance(given, list) and given:
                shapes = [
                    fill(np.array(one, np.float64).reshape(-1, 2).tolist(), size, clip=True) for one in given
                ]
                marks.append(Mark(label, np.logical_or.reduce(shapes), where, has_seam=True))
            else:
                pixels, is_polygon = decode_segmentation(given, size)
                if not is_polygon and looks_row_major(pixels):
                    complain(Fault("row-major mask", file, ROW_MAJOR, annotation.id, where))
                marks.append(Mark(label, pixels, where, has_seam=is_polygon))
        except (MaskFault, ValueError, TypeError) as error:
            complain(mask_fault(file, error, where))
    return marks


def read_severstal(root: Path, options: Options) -> Source:
    """Read Kaggle's table, train.csv, with run lengths down the columns, or along the rows if stated."""
    file = root / "train.csv"
    pictures = root / TRAIN_IMAGES
    finder = ImageFinder(pictures if pictures.is_dir() else root)  # test_images/ has no labels
    first = 1 if options.first is None else options.first
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: not a readable table ({error})") from None
    if rows and "EncodedPixels" not in rows[0]:
        raise InputError(
            f"{file}: its columns are {', '.join(map(str, rows[0]))}: Kaggle's are ImageId,ClassId,EncodedPixels, "
            "with commas between"
        )
    named = read_classes(root)
    by_image: dict[Path, list[tuple[str, str, str]]] = {}
    listed: dict[Path, None] = {}
    numbers = set()
    for line, row in enumerate(rows, start=2):
        name, number = row.get("ImageId"), row.get("ClassId")
        if name is None:
            name, _, number = (row.get("ImageId_ClassId") or "").rpartition("_")
        runs = (row.get("EncodedPixels") or "").strip()
        path = finder.find(name, finder.root / file.name)
        if path is None:
            raise InputError(f"row {line}: {no_image(file, name, finder)}")
        listed[path] = None
        if not str(number).isdigit() or int(str(number)) < first:
            raise InputError(f"{file}: row {line}: class {number!r}: must be a number from {first} (--first)")
        kind = int(str(number)) - first + 1
        if runs:
            numbers.add(kind)
            if named is not None and kind >= len(named):
                raise InputError(f"{file}: row {line}: class {number} is not in classes.json ({', '.join(named)})")
            label = f"class_{kind}" if named is None else named[kind]
            by_image.setdefault(path, []).append((label, runs, f"row {line} ({name}, {label})"))
    frames = [
        SourceFrame(path, file, partial(_severstal_marks, file, by_image.get(path, []), options))
        for path in listed
    ]
    frames += [SourceFrame(path, file, None) for path in finder.others(set(listed))]  # Kaggle lists defects only
    highest = max(numbers, default=1)
    classes = named or [f"class_{kind}" for kind in range(1, highest + 1)]
    names = [name for name in classes if name.lower() not in NORMAL_NAMES]
    return Source(frames, names, unlabelled_is_normal=True)


def _severstal_marks(
    file: Path, rows: list[tuple[str, str, str]], options: Options, size: Size, complain: Complain
) -> list[Mark]:
    marks = []
    for label, runs, where in rows:
        try:
            pixels = decode(runs, size[::-1]).T if options.row_major else decode(runs, size)
            if not options.row_major and looks_row_major(pixels):
                text = "the runs go along the rows: state --row-major"
                complain(Fault("row-major mask", file, text, where=where))
            marks.append(Mark(label, np.ascontiguousarray(pixels), where))
        except InputError as error:
            complain(Fault("bad mask", file, str(error), where=where))
    return marks
