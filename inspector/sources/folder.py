"""A folder of images as a source: one file, one captured frame, in the order of their names."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS, ImageFault, read_mono, read_size
from inspector.sources.base import WhenBehind
from inspector.values import Capture, Code, Uninspected

_NUMBER: Final = re.compile(r"[0-9]+")


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
        self._files = _in_order(files)
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
        """The images in the order of their names (frame_2 before frame_10); a fault names its file."""
        for path in self._opened():
            try:
                capture = Capture(read_mono(path), file=_printable(path))
            except ImageFault as fault:
                unreadable = Uninspected(Code.UNREADABLE, f"{_printable(path)}: {fault}")
                capture = Capture(None, fault=unreadable, file=_printable(path))
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


def _in_order(files: list[Path]) -> list[Path]:
    """By number where the names differ in nothing else (frame_2 before frame_10), else as any program sorts them.

    Names such as Kaggle's 0007a71bf have digits that are no numbers: taken for some, their order would surprise.
    """
    texts = {_NUMBER.sub("#", path.stem.casefold()) for path in files}
    if len(texts) > 1:
        return sorted(files, key=lambda path: path.name)
    return sorted(files, key=lambda path: ([int(number) for number in _NUMBER.findall(path.stem)], path.name))
