"""COCO: one JSON file with images, categories and annotations (polygons or run lengths), and its image files."""

import codecs
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.errors import InputError
from inspector.values import Pixels
from trainer.data.coco_masks import MaskFault, decode_segmentation
from trainer.data.dataset import CLASSES_NAME, MAX_CLASSES, NORMAL_NAMES, Dataset, is_image, read_classes
from trainer.data.drawing import DrawnMask, draw
from trainer.data.faults import Complain, DataError, Fault, refuse
from trainer.data.mask_order import looks_row_major

IMAGES_NAME: Final = "images"
NORMAL: Final = "normal"
_NAMES: Final = ("annotations.json", "_annotations.coco.json", "instances.json")
_FOLDER: Final = "annotations"
ROW_MAJOR: Final = "the run lengths go along the rows, COCO's go down the columns: encode the mask again"


Id = int | str
"""COCO's ids are numbers; some tools write text."""


class _Image(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


class Category(BaseModel):
    """One entry of the list of categories."""

    model_config = ConfigDict(extra="ignore")

    id: Id
    name: str
    supercategory: str | None = None


class Annotation(BaseModel):
    """One labelled region."""

    model_config = ConfigDict(extra="ignore")

    id: Id
    image_id: Id
    category_id: Id
    segmentation: Any = None
    """Of any type here; `label` checks it."""


class Document(BaseModel):
    """An annotation file."""

    model_config = ConfigDict(extra="ignore")

    images: list[_Image] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)
    annotations: list[Annotation]


class Coco(Dataset):
    """Classes 1..K are the categories by id, unless classes.json gives their order.

    Listed images without an annotation are normal. Two classes must not overlap, except for the seam of polygons
    that share an edge.
    """

    def __init__(
        self,
        file: Path,
        root: Path,
        classes: tuple[str, ...],
        images: dict[str, _Image],
        paths: dict[str, Path],
        annotations: dict[str, list[tuple[int, Annotation]]],
    ) -> None:
        super().__init__(root, classes, paths)
        self._file = file
        self._listed = images
        self._annotations = annotations

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether `root` has this layout."""
        return bool(_candidates(root))

    @classmethod
    def open(cls, root: Path, complain: Complain = refuse) -> "Coco":
        """Read the annotations; entries at fault go to `complain`.

        Raises InputError for several annotation files, for a file that is not COCO, and if every listed image is
        missing.
        """
        files = _candidates(root)
        if len(files) > 1:
            raise InputError(
                f"{root}: {len(files)} annotation files ({', '.join(f.name for f in files)}): keep one, or join "
                f"them with `trainer import coco {root} OUT`"
            )
        file = files[0]
        document = read_document(file)
        classes, kinds = _classes(root, file, document, complain)
        images: dict[str, _Image] = {}
        paths: dict[str, Path] = {}
        names: dict[str, str] = {}
        taken: set[Path] = set()
        for image in sorted(document.images, key=lambda entry: entry.file_name):
            path = _find(root, file, image.file_name)
            if path is None or path in taken or image.file_name in images or str(image.id) in names:
                complain(_image_fault(file, image, is_there=path is not None))
                continue
            taken.add(path)
            images[image.file_name], paths[image.file_name] = image, path
            names[str(image.id)] = image.file_name
        if not paths:
            there = next((path.name for path in _images_in(root, file)), None)
            found = "holds no images" if there is None else f"holds {there}"
            raise InputError(
                f"{file}: none of its {len(document.images)} images is in {root}: it lists "
                f"{document.images[0].file_name!r} but the folder {found}: name the folder of "
                "the images, or unzip it whole"
            )
        _report_unlisted(root, file, paths, complain)
        annotations: dict[str, list[tuple[int, Annotation]]] = defaultdict(list)
        listed = {str(image.id) for image in document.images}
        for annotation in document.annotations:
            name = names.get(str(annotation.image_id))
            kind = kinds.get(str(annotation.category_id))
            if name is not None and kind is not None:
                annotations[name].append((kind, annotation))
            elif str(annotation.image_id) not in listed:
                complain(_no_image(file, annotation))
            elif kind is None:
                text = f"category {annotation.category_id} is not in the list of categories"
                complain(_fault("unknown class", file, text, annotation, name))
        return cls(file, root, classes, images, paths, dict(annotations))

    def label(self, name: str, shape: tuple[int, int], complain: Complain = refuse) -> Pixels:
        """Class of every pixel; raises DataError if the image has another size than its entry in the file."""
        image = self._listed[name]
        stated = (image.height or shape[0], image.width or shape[1])
        if stated != shape:
            text = f"{stated[0]}×{stated[1]} px in the list of images, but the file is {shape[0]}×{shape[1]}"
            where = f"image {image.id} ({name})"
            raise DataError(Fault("mask of another size", self._file, text, image.id, where, name))
        masks = []
        for kind, annotation in self._annotations.get(name, []):
            where = f"annotation {annotation.id} ({name}, {self.classes[kind]})"
            try:
                pixels, is_polygon = decode_segmentation(annotation.segmentation, shape)
            except MaskFault as error:
                complain(Fault("bad mask", self._file, str(error), annotation.id, where, name))
                continue
            if not is_polygon and looks_row_major(pixels):
                complain(Fault("row-major mask", self._file, ROW_MAJOR, annotation.id, where, name))
            if not pixels.any():
                text = "the mask is empty"
                complain(Fault("empty mask", self._file, text, annotation.id, where, name, refused=False))
            masks.append(DrawnMask(kind, pixels, annotation.id, where, has_seam=is_polygon))
        return draw(masks, shape, self._file, name, complain)

    def label_source(self, name: str) -> bytes:
        """Classes and segmentations of the frame's annotations, sorted, so that their order does not matter."""
        lines = [
            json.dumps([kind, annotation.segmentation], sort_keys=True)
            for kind, annotation in self._annotations.get(name, [])
        ]
        return "\n".join(sorted(lines)).encode()


def _candidates(root: Path) -> list[Path]:
    """Annotation files in the places that labelling tools use; the first place that has any wins."""
    for folder in (root, root / IMAGES_NAME):
        found = [folder / name for name in _NAMES if (folder / name).is_file()]
        if found:
            return found
    return sorted(path for path in (root / _FOLDER).glob("*.json") if not path.name.startswith("."))


def read_document(file: Path) -> Document:
    """Content of an annotation file; raises InputError for one that is not COCO."""
    try:
        return Document.model_validate_json(file.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise InputError(
            f"{file}: {where + ': ' if where else ''}{first['msg']}: must be COCO, with images, categories and "
            "annotations; is it cut off?"
        ) from None


def _classes(
    root: Path, file: Path, document: Document, complain: Complain
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Class names, normal first, and category id → class.

    Without classes.json, categories called normal or background are class 0.
    """
    categories = without_headings(document)
    wanted = read_classes(root)
    names = wanted or (NORMAL, *(c.name for c in categories if c.name.lower() not in NORMAL_NAMES))
    _check_categories(file, categories)
    if not 2 <= len(names) <= MAX_CLASSES:
        raise InputError(f"{file}: must have 1 to {MAX_CLASSES - 1} categories of defects, got {len(names) - 1}")
    kinds: dict[str, int] = {}
    for category in categories:
        if category.name in names:
            kinds[str(category.id)] = names.index(category.name)
        elif wanted is None:
            kinds[str(category.id)] = 0
        else:
            text = f"{category.name!r} is not in {CLASSES_NAME} ({', '.join(names)})"
            where = f"category {category.id}"
            complain(Fault("unknown class", file, text, category.id, where))
    return names, kinds


def check_document(file: Path, document: Document) -> None:
    """Raise InputError for ids that stand twice, and for the first annotation without its image or category."""
    _check_categories(file, without_headings(document))
    ids: set[str] = set()
    for image in document.images:
        if str(image.id) in ids:
            raise DataError(_image_fault(file, image, is_there=True))
        ids.add(str(image.id))
    for annotation in document.annotations:
        if str(annotation.image_id) not in ids:
            raise DataError(_no_image(file, annotation))


def _check_categories(file: Path, categories: Sequence[Category]) -> None:
    ids, names = {str(category.id) for category in categories}, {category.name for category in categories}
    if len(ids) != len(categories) or len(names) != len(categories):
        raise InputError(f"{file}: categories must have different ids and names")


def without_headings(document: Document) -> list[Category]:
    """The categories by id, without those that only group others: Roboflow lists its project as category 0.

    A category that is its own supercategory is a class.
    """
    used = {str(annotation.category_id) for annotation in document.annotations}
    groups = {category.supercategory for category in document.categories}
    kept = [
        c for c in document.categories if str(c.id) in used or c.name not in groups or c.name == c.supercategory
    ]
    return sorted(kept, key=lambda category: (isinstance(category.id, str), category.id))


def _find(root: Path, file: Path, name: str) -> Path | None:
    """The image's file: in images/, in the root, or beside the annotations.

    Tools on other PCs write absolute or Windows paths: then the last part of the name counts.
    """
    for spelling in (name, PureWindowsPath(name).name):
        for folder in (root / IMAGES_NAME, root, file.parent):
            path = folder / spelling
            # A name that leads out of the data set ("../..") is not followed.
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                return root / path.resolve().relative_to(root.resolve()) if Path(spelling).is_absolute() else path
    return None


def _images_in(root: Path, file: Path) -> Iterator[Path]:
    """Image files where `_find` looks, by name."""
    for folder in dict.fromkeys((root / IMAGES_NAME, root, file.parent)):
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if is_image(path))


def _report_unlisted(root: Path, file: Path, paths: dict[str, Path], complain: Complain) -> None:
    """One fault for all image files beside the listed ones: tools that leave normal frames out lose them here."""
    used = {path.resolve() for path in paths.values()}
    unlisted = [path for path in _images_in(root, file) if path.resolve() not in used]
    if unlisted:
        text = (
            f"{len(unlisted)} image files are not in its list of images and are left out ({unlisted[0].name}): "
            f"if they show no defect, `trainer import coco {root} OUT --unlisted normal` adds them"
        )
        complain(Fault("unlisted image", file, text, refused=False))


def _image_fault(file: Path, image: _Image, *, is_there: bool) -> Fault:
    where = f"image {image.id} ({image.file_name})"
    if is_there:
        text = "listed twice: ids, file names and the files that they find must differ"
        return Fault("bad row", file, text, image.id, where, image.file_name)
    text = "no such file: was the download or the unzipping interrupted?"
    return Fault("missing image", file, text, image.id, where, image.file_name)


def _no_image(file: Path, annotation: Annotation) -> Fault:
    text = f"image {annotation.image_id} is not in the list of images"
    return _fault("missing image", file, text, annotation)


def _fault(kind: str, file: Path, text: str, annotation: Annotation, frame: str | None = None) -> Fault:
    return Fault(kind, file, text, annotation.id, f"annotation {annotation.id}", frame)
