"""A folder of images as a source: one file, one captured frame, in the order a person would number them."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS, ImageFault, read_mono, read_size
from inspector.sources.base import WhenBehind
from inspector.values import Capture


class FolderSource:
    """The image files at the top of a folder; one that cannot be read is a fault in its place."""

    when_behind: ClassVar[WhenBehind] = WhenBehind.WAIT

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: list[Path] | None = None

    def __enter__(self) -> Self:
        try:
            files = [entry for entry in self.path.iterdir() if _is_image(entry)]
        except NotADirectoryError:
            raise SourceError(f"{self.path}: not a folder; give the folder that holds the images") from None
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror}") from error
        if not files:
            endings = ", ".join(sorted(IMAGE_ENDINGS))
            raise SourceError(f"{self.path}: no image in it ({endings}); subfolders are not searched")
        self._files = sorted(files, key=_natural_order)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files = None

    def _opened(self) -> list[Path]:
        if self._files is None:
            raise RuntimeError("a source is used inside its with statement")
        return self._files

    def total(self) -> int | None:
        """The number of image files when the folder was opened."""
        return len(self._opened())

    def captures(self) -> Iterator[Capture | None]:
        """The images in natural order (frame_2 before frame_10); a fault names its file."""
        for path in self._opened():
            try:
                capture = Capture(read_mono(path))
            except ImageFault as fault:
                capture = Capture(None, fault=f"{_printable(path)}: {fault}")
            yield capture

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """File names with (height, width) from the headers; files without a readable one are left out."""
        for path in self._opened():
            try:
                size = read_size(path)
            except ImageFault:
                continue  # captures announces it
            yield _printable(path), size


def _is_image(entry: Path) -> bool:
    return entry.suffix.lower() in IMAGE_ENDINGS and not entry.is_dir()


def _printable(path: Path) -> str:
    """The file name for people; bytes that are not UTF-8, which JSON could not hold, become question marks."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _natural_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Digits compare as numbers, the rest as text; the name itself decides between 01 and 1."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], path.name
