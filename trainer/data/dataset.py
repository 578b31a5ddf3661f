"""Base class of the layouts: a folder of labelled frames with names, pixels, and a class for every pixel."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inspector.errors import InputError
from inspector.images import IMAGE_ENDINGS, ImageFault, read_mono, read_size
from inspector.values import Pixels
from trainer.data.faults import Complain, DataError, Fault, refuse

CLASSES_NAME: Final = "classes.json"
UPRIGHT: Final = 1
LAST_ORIENTATION: Final = 8
_ORIENTATION: Final = 0x0112
"""EXIF tag: how a viewer turns the stored rows and columns, 1 = not at all."""
NORMAL_NAMES: Final = frozenset(
    [
        "normal",
        "background",
        "_background_",
        "bg",
        "good",
        "ok",
        "sound",
        "clean",
        "none",
        "no_defect",
        "no-defect",
        "defect-free",
        "faultless",
    ]
)
"""Names that class 0 may have, lower case. Any other first name is a defect whose "normal" was left out."""
MAX_CLASSES: Final = 256
"""Labels, kinds and masks are uint8."""


class Dataset(ABC):
    """Frames and their labels, decoded on demand."""

    def __init__(self, root: Path, classes: tuple[str, ...], images: dict[str, Path]) -> None:
        self.root = root
        self.classes = classes
        """Class names, normal first."""
        self.images = images
        """Image file name → its path, sorted by name."""

    @property
    def names(self) -> list[str]:
        """Name of every frame: the file name of its image."""
        return list(self.images)

    def frame(self, name: str) -> Pixels:
        """Pixels, uint8 [H, W]; raises DataError for an image that cannot be read, or that a viewer would turn."""
        path = self.images[name]
        try:
            pixels = read_mono(path)
        except ImageFault as error:
            text = f"{error}: replace the image or remove it and its label"
            raise DataError(Fault("unreadable image", path, text, frame=name)) from None
        orientation = read_orientation(path)
        if orientation != UPRIGHT:
            text = (
                f"its EXIF orientation {orientation} makes viewers and labelling tools turn it, but the line does "
                "not: its labels would lie elsewhere; `trainer import` writes upright frames with their masks"
            )
            raise DataError(Fault("turned image", path, text, frame=name))
        return pixels

    def size(self, name: str) -> tuple[int, int]:
        """Height and width of a frame, px, from its file's header; raises DataError."""
        path = self.images[name]
        try:
            return read_size(path)
        except ImageFault as error:
            text = f"{error}: replace the image or remove it and its label"
            raise DataError(Fault("unreadable image", path, text, frame=name)) from None

    @abstractmethod
    def label(self, name: str, shape: tuple[int, int], complain: Complain = refuse) -> Pixels:
        """Class of every pixel, uint8 `shape` = [H, W], 0 normal.

        Entries at fault go to `complain` and are left out if it returns. Raises DataError for a label that cannot
        be read at all.
        """

    @abstractmethod
    def label_source(self, name: str) -> bytes:
        """The stored source of a frame's label; raises OSError."""

    def fingerprint(self, name: str) -> str:
        """SHA-256 of the image file and the label's source as stored, independent of the decoder's version.

        Raises InputError for a file that cannot be read.
        """
        try:
            image = self.images[name].read_bytes()
            label = self.label_source(name)
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}") from None
        return hashlib.sha256(hashlib.sha256(image).digest() + hashlib.sha256(label).digest()).hexdigest()

    def resolve(self, names: Sequence[str], where: str) -> list[str]:
        """Full frame names for names that may lack their extension; raises InputError for an unknown one."""
        stems: dict[str, str] = {}
        for name in self.images:
            stems.setdefault(Path(name).stem, name)
        found = []
        for name in names:
            match = name if name in self.images else stems.get(name)
            if match is None:
                raise InputError(f"{where}: frame {name!r} is not in {self.root}: is it another data set's?")
            found.append(match)
        return found


def read_orientation(path: Path) -> int:
    """EXIF orientation of a readable image, 1 (upright) to 8; 1 without one."""
    with Image.open(path) as image:
        orientation = image.getexif().get(_ORIENTATION, UPRIGHT)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= LAST_ORIENTATION else UPRIGHT


def find_images(folder: Path) -> dict[str, Path]:
    """File name → path of every image in `folder`, sorted.

    Hidden files are not images: macOS writes `._a.jpg` beside `a.jpg` on foreign disks. Raises InputError if the
    folder has none.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if is_image(path))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    if not paths:
        raise InputError(f"{folder}: no images here (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
    return {path.name: path for path in paths}


def is_image(path: Path) -> bool:
    """Whether the name is that of an image, and not hidden."""
    return path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")


def read_classes(root: Path) -> tuple[str, ...] | None:
    """Class names from classes.json, normal first; None without the file. Raises InputError for wrong content."""
    path = root / CLASSES_NAME
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}: must be a JSON list of class names, normal first") from None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'{path}: must be a JSON list of class names, such as ["normal", "scratch"]')
    if not 2 <= len(names) <= MAX_CLASSES or len(set(names)) != len(names):
        raise InputError(f"{path}: must name 2 to {MAX_CLASSES} different classes, normal first")
    if names[0].lower() not in NORMAL_NAMES:
        shown = json.dumps(["normal", *names[:2]], ensure_ascii=False)[:-1] + (", …]" if len(names) > 2 else "]")
        later = next((name for name in names if name.lower() in NORMAL_NAMES), None)
        advice = f"write {shown}" if later is None else f"put {later!r} first"
        raise InputError(
            f"{path}: the first class is pixels without a defect and must be called normal (or background, good, "
            f"ok …), got {names[0]!r}: {advice}"
        )
    return tuple(names)


def default_classes(kinds: int) -> tuple[str, ...]:
    """Names for a data set without names: normal, class_1 … class_K."""
    return ("normal", *(f"class_{kind}" for kind in range(1, kinds + 1)))


def kinds_present(label: Pixels, classes: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which classes a label map contains, bool [classes]."""
    return np.bincount(label.ravel(), minlength=classes)[:classes] > 0
