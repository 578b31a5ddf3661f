"""The result of reading another tool's labels: frames, and a function that draws the marks of each."""

import json
import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.dataset import CLASSES_NAME, is_image
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
_YEAR: Final = re.compile(r"(?:19|20)\d\d$")
"""The year in names such as train2017."""


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
    void: tuple[int, int, int] | None = None
    """Mask colour of pixels without a class."""
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
    are_classes_listed: bool = False
    """Whether the tool's own file lists the classes: then no frame needs to show a defect."""
    unlabelled_is_normal: bool = False
    """Whether the format says that an image without labels shows no defect."""
    notes: Sequence[str] = ()
    folder: Path | None = None
    """The folder that holds every image; None if it is the one that was named."""


def files_below(root: Path, pattern: str) -> list[Path]:
    """Return the files of that pattern in the folder and its subfolders, sorted; hidden ones are left out.

    macOS writes `._a.json` beside `a.json` on foreign disks, Jupyter keeps copies in `.ipynb_checkpoints/`.
    """
    return [
        path
        for path in sorted(root.rglob(pattern))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def images_below(root: Path) -> list[Path]:
    """Return every image in the folder and its subfolders, sorted; raises InputError without any."""
    found = [path for path in files_below(root, "*") if is_image(path)]
    if not found:
        raise InputError(f"{root}: holds no images")
    return found


def _without_data_sets(images: Sequence[Path], root: Path) -> list[Path]:
    """Leave out images of data sets that an earlier import wrote below `root`, and all masks of such data sets."""
    data_sets = [
        file.parent
        for file in files_below(root, CLASSES_NAME)
        if (file.parent / "images").is_dir() and (file.parent / "masks").is_dir()
    ]
    left_out = [folder / "masks" if folder == root else folder for folder in data_sets]
    return [path for path in images if not any(path.is_relative_to(folder) for folder in left_out)]


class ImageFinder:
    """Finds the image that a label file names, wherever the path was written."""

    def __init__(self, root: Path) -> None:
        self._images = _without_data_sets(images_below(root), root)
        self.root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in self._images:
            self._by_name.setdefault(path.name, []).append(path)

    def find(self, name: str, file: Path) -> Path | None:
        """Find the image `name` of a label file: beside it, below the root, or by the last part of its path.

        Of several images with that last part, the one in a folder called as the label file's counts.
        """
        parts = PureWindowsPath(name).parts  # splits at both kinds of slash
        for start in range(len(parts)):
            for folder in (file.parent, self.root, self.root / "images"):
                inner = Path(os.path.normpath(folder.relative_to(self.root).joinpath(*parts[start:])))
                path = self.root / inner
                if ".." in inner.parts or not path.is_file():
                    continue
                if path.resolve().is_relative_to(self.root.resolve()):
                    return path
        found = self._by_name.get(parts[-1] if parts else name, [])
        found = found if len(found) == 1 else [path for path in found if path.parent.name == file.parent.name]
        return found[0] if len(found) == 1 else None

    def example(self) -> str:
        """Return one image of the folder, for messages."""
        return str(self._images[0].relative_to(self.root)) if self._images else "no images"

    def others(self, used: set[Path]) -> list[Path]:
        """Return the images that no label file names."""
        return [path for path in self._images if path not in used]


def part_of(path: Path, root: Path) -> str | None:
    """Return the part that a folder between `root` and the file names, such as valid/."""
    for folder in path.relative_to(root).parts[:-1]:
        if part := part_named(folder):
            return part
    return None


def part_named(folder: str) -> str | None:
    """Return the part that a folder's name says: valid and val2017 are val; None for other names."""
    return PARTS.get(_YEAR.sub("", folder.lower()))


def label_files(root: Path, pattern: str) -> tuple[Path, list[Path]]:
    """Return the folder of the images and the label files of that pattern; `root` may be one label file."""
    return (root.parent, [root]) if root.is_file() else (root, files_below(root, pattern))


@contextmanager
def written_by(tool: str, file: Path) -> Iterator[None]:
    """Turn the errors of content that the tool does not write into an InputError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"{file}: not written as {tool} writes it ({error!r}): is it another format's?") from None


def read_json(file: Path) -> Any:
    """Read a JSON file; raises InputError if it is not JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}): is it cut off?") from None
