"""Base class of the layouts: a folder of labelled frames with names, pixels, and a class for every pixel."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from inspector.images import IMAGE_ENDINGS, ImageFault, read_mono
from inspector.names import printable
from inspector.values import Pixels
from trainer.data.faults import Complain, DataError, Fault, refuse

CLASSES_NAME: Final = "classes.json"
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
        """Pixels, uint8 [H, W]; raises DataError for an image that cannot be read."""
        path = self.images[name]
        try:
            return read_mono(path)
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


def find_images(folder: Path) -> dict[str, Path]:
    """File name → path of every image in `folder`, sorted.

    Raises InputError if the folder has none, or one whose name is not UTF-8.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    if not paths:
        raise InputError(f"{folder}: no images here (looked for {', '.join(sorted(IMAGE_ENDINGS))})")
    for path in paths:
        if printable(path.name) != path.name:
            text = "its name is not UTF-8, which split files and cards could not hold: rename it and its label"
            raise InputError(f"{folder}/{printable(path.name)}: {text}")
    return {path.name: path for path in paths}


def read_classes(root: Path) -> tuple[str, ...] | None:
    """Class names from classes.json, normal first; None without the file. Raises InputError for wrong content."""
    path = root / CLASSES_NAME
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}: must be a JSON list of class names, normal first") from None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'{path}: must be a JSON list of class names, such as ["normal", "scratch"]')
    if not 2 <= len(names) <= MAX_CLASSES or len(set(names)) != len(names):
        raise InputError(f"{path}: must name 2 to {MAX_CLASSES} different classes, normal first")
    return tuple(names)


def default_classes(kinds: int) -> tuple[str, ...]:
    """Names for a data set without names: normal, class_1 … class_K."""
    return ("normal", *(f"class_{kind}" for kind in range(1, kinds + 1)))


def kinds_present(label: Pixels, classes: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which classes a label map contains, bool [classes]."""
    return np.bincount(label.ravel(), minlength=classes)[:classes] > 0
