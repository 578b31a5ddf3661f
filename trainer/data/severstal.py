"""Kaggle's Severstal layout as downloaded: train_images/ and train.csv with run-length masks."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from inspector.values import Pixels
from trainer.data.dataset import CLASSES_NAME, Dataset, default_classes, find_images, read_classes
from trainer.data.drawing import DrawnMask, draw
from trainer.data.faults import Complain, DataError, Fault, refuse
from trainer.data.mask_order import looks_row_major
from trainer.data.rle import decode

CSV_NAME: Final = "train.csv"
IMAGES_NAME: Final = "train_images"
KAGGLE_KINDS: Final = 4
"""Number of defect classes of the competition, which gives them no names."""

_NEW_HEADER: Final = ["ImageId", "ClassId", "EncodedPixels"]
_OLD_HEADER: Final = ["ImageId_ClassId", "EncodedPixels"]

csv.field_size_limit(1 << 24)  # the mask of a heavily damaged frame exceeds the default limit of 131072


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    kind: int
    runs: str


class Severstal(Dataset):
    """Frames without a row are normal; both spellings of train.csv are read. Classes must not overlap.

    Measured: in 3670 labelled frames of the competition no two classes overlap.
    """

    def __init__(
        self, root: Path, classes: tuple[str, ...], images: dict[str, Path], rows: dict[str, list[_Row]]
    ) -> None:
        super().__init__(root, classes, images)
        self._rows = rows

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether `root` has this layout."""
        return (root / CSV_NAME).is_file() and (root / IMAGES_NAME).is_dir()

    @classmethod
    def open(cls, root: Path, complain: Complain = refuse) -> "Severstal":
        """Read the table; a row that does not fit the images goes to `complain`.

        Raises InputError for a file that is not such a table, and for a folder without images.
        """
        classes = read_classes(root) or default_classes(KAGGLE_KINDS)
        images = find_images(root / IMAGES_NAME)
        return cls(root, classes, images, _Table(root / CSV_NAME, len(classes) - 1, images, complain).read())

    def label(self, name: str, shape: tuple[int, int], complain: Complain = refuse) -> Pixels:
        """Class of every pixel; two classes on one pixel are a fault."""
        path = self.root / CSV_NAME
        masks = []
        for row in self._rows.get(name, []):
            where = f"row {row.line} ({name}, class {row.kind})"
            try:
                pixels = decode(row.runs, shape)
            except InputError as error:
                complain(Fault("bad mask", path, str(error), row.line, where, name))
                continue
            if looks_row_major(pixels):
                text = (
                    "the runs go along the rows, Kaggle's go down the columns: "
                    f"`trainer import severstal {self.root} OUT --row-major` reads them"
                )
                complain(Fault("row-major mask", path, text, row.line, where, name))
            masks.append(DrawnMask(row.kind, pixels, row.line, where))
        return draw(masks, shape, path, name, complain)

    def label_source(self, name: str) -> bytes:
        """Classes and runs of the frame's rows, independent of their order and spelling."""
        rows = sorted((row.kind, " ".join(row.runs.split())) for row in self._rows.get(name, []))
        return "\n".join(f"{kind} {runs}" for kind, runs in rows).encode()


class _Table:
    """train.csv, checked row by row."""

    def __init__(self, path: Path, kinds: int, images: dict[str, Path], complain: Complain) -> None:
        self._path = path
        self._kinds = kinds
        self._images = images
        self._complain = complain

    def read(self) -> dict[str, list[_Row]]:
        """Image name → its rows that have a mask."""
        try:
            with self._path.open(newline="", encoding="utf-8-sig") as file:
                rows = self._read_rows(csv.reader(file))
            if not _ends_with_line_end(self._path):
                text = "does not end with a line end: if it is cut off, frames of the missing rows count as normal"
                self._complain(Fault("table cut off?", self._path, text, refused=False))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self._path}: not a readable table ({error})") from None
        return rows

    def _read_rows(self, table: Iterable[list[str]]) -> dict[str, list[_Row]]:
        rows: dict[str, list[_Row]] = {}
        lines = iter(table)
        header = next(lines, [])
        if header not in (_NEW_HEADER, _OLD_HEADER):
            text = f"columns must be {','.join(_NEW_HEADER)} or {','.join(_OLD_HEADER)}"
            raise DataError(Fault("bad table", self._path, f"{text}, got {','.join(header)[:80]!r}", 1))
        for line, cells in enumerate(lines, start=2):
            if not cells:
                continue
            try:
                name, row = self._parse(line, cells, header)
                if row is None:
                    continue
                if any(other.kind == row.kind for other in rows.get(name, [])):
                    raise self._fault("second mask", line, f"a second mask of class {row.kind} for {name}", name)
            except DataError as error:
                self._complain(error.fault)
                continue
            rows.setdefault(name, []).append(row)
        return rows

    def _parse(self, line: int, cells: list[str], header: list[str]) -> tuple[str, _Row | None]:
        """(image, row) in either spelling, row None without a mask; raises DataError."""
        if len(cells) != len(header):
            text = f"must have {len(header)} cells, got {len(cells)}: is it cut off?"
            raise self._fault("bad row", line, text)
        if header == _NEW_HEADER:
            name, number, runs = cells
        else:
            name, _, number = cells[0].rpartition("_")
            runs = cells[1]
        if name not in self._images:
            text = f"image {name} is not in {IMAGES_NAME}/: was the download or the unzipping interrupted?"
            raise self._fault("missing image", line, text, name)
        try:
            kind = int(number)
        except ValueError:
            raise self._fault("bad row", line, f"class must be a whole number, got {number!r}", name) from None
        if kind == 0:
            text = (
                "class 0: classes count from 1, class 0 is normal; if this table counts from 0, "
                f"`trainer import severstal {self._path.parent} OUT --first 0` reads it"
            )
            raise self._fault("class 0", line, text, name)
        if not 1 <= kind <= self._kinds:
            text = f"class {kind} is out of range 1..{self._kinds}: more classes are named in {CLASSES_NAME}"
            raise self._fault("unknown class", line, text, name)
        if runs.strip():
            return name, _Row(line, kind, runs)
        if header == _NEW_HEADER:  # the old spelling has a row for every image and class
            text = f"the mask of class {kind} for {name} is empty"
            self._complain(Fault("empty mask", self._path, text, line, frame=name, refused=False))
        return name, None

    def _fault(self, kind: str, line: int, text: str, frame: str | None = None) -> DataError:
        return DataError(Fault(kind, self._path, text, line, frame=frame))


def _ends_with_line_end(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) in b"\r\n"
