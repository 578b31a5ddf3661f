"""The result of reading another tool's labels: frames, and a function that draws the marks of each."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.dataset import is_image
from trainer.data.faults import Complain

Size = tuple[int, int]
"""Height and width, px."""

PARTS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Name of a folder or list → part of a split."""


@dataclass(frozen=True, slots=True)
class Options:
    """The user's statements about the labels."""

    values: Mapping[int, str] = field(default_factory=dict)
    """Mask value → class."""
    colours: Mapping[tuple[int, int, int], str] = field(default_factory=dict)
    """Mask colour → class."""
    classes: tuple[str, ...] = ()
    """Names of the classes 0, 1 … of a mask, normal first."""
    ignore: int | None = None
    """Mask value of pixels without a class."""
    first: int | None = None
    """Number of normal in masks, or of the first defect in a table."""
    row_major: bool = False
    clip: bool = False
    """Whether outlines that leave the frame are cut at its edge."""
    by_folder: bool = False
    """Whether the folder of a black-and-white mask names its class."""
    attribute: str | None = None
    """Attribute of a region that holds its class (VIA)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One labelled region of a frame."""

    label: str
    pixels: NDArray[np.bool_]
    """bool [H, W]."""
    where: str
    """The place in the file, for people."""
    has_seam: bool = False
    """Drawn from an outline: its outermost pixels belong to the neighbour as well."""


DrawMarks = Callable[[Size, Complain], Sequence[Mark]]
"""Draws the marks of a frame of that height and width; entries at fault go to the second argument."""


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One image and its labels."""

    image: Path
    file: Path
    """The file of its labels."""
    draw: DrawMarks | None
    """None if nothing labels the image."""
    size: Size | None = None
    """Height and width that the label file states."""
    part: str | None = None
    """Part of the source's own split."""


@dataclass(frozen=True, slots=True)
class Source:
    """All frames that a reader found."""

    frames: Sequence[SourceFrame]
    classes: Sequence[str] = ()
    """Names in the tool's order; names that only frames mention follow in alphabetical order."""
    unlabelled_is_normal: bool = False
    """Whether the format says that an image without labels shows no defect."""
    notes: Sequence[str] = ()


def images_below(root: Path) -> list[Path]:
    """Return every image in the folder and its subfolders, sorted; raises InputError without any."""
    found = sorted(path for path in root.rglob("*") if is_image(path) and path.is_file())
    if not found:
        raise InputError(f"{root}: holds no images")
    return found


class ImageFinder:
    """Finds the image that a label file names, wherever the path was written."""

    def __init__(self, root: Path) -> None:
        self._images = images_below(root)
        self._root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in self._images:
            self._by_name.setdefault(path.name, []).append(path)

    def find(self, name: str, file: Path) -> Path | None:
        """Find the image `name` of a label file: beside it, below the root, or by the last part of its path.

        Label Studio puts eight letters before the name of an upload: "a1b2c3d4-frame.png" is "frame.png", too.
        """
        parts = PureWindowsPath(name).parts  # splits at both kinds of slash
        for start in range(len(parts)):
            tail = Path(*parts[start:])
            for folder in (file.parent, self._root, self._root / "images"):
                path = folder / tail
                if path.is_file() and path.resolve().is_relative_to(self._root.resolve()):
                    return path
        last = parts[-1] if parts else name
        for spelling in (last, last.partition("-")[2]):
            found = self._by_name.get(spelling, [])
            if len(found) == 1:
                return found[0]
        return None

    def example(self) -> str:
        """Return one image of the folder, for messages."""
        return str(self._images[0].relative_to(self._root))

    def others(self, used: set[Path]) -> list[Path]:
        """Return the images that no label file names."""
        return [path for path in self._images if path not in used]


def part_of(path: Path, root: Path) -> str | None:
    """Return the part that a folder between `root` and the file names, such as valid/."""
    for folder in path.relative_to(root).parts[:-1]:
        if folder.lower() in PARTS:
            return PARTS[folder.lower()]
    return None


def read_json(file: Path) -> Any:
    """Read a JSON file; raises InputError if it is not JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}): is it cut off?") from None
