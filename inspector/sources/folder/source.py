"""A folder of images as a source: each file is one captured frame, in the order of names."""

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS, GreyWindow, ImageFault, read_mono, read_size
from inspector.names import printable
from inspector.sources.base import WhenBehind
from inspector.sources.folder.growing import GrowingFolder
from inspector.sources.folder.natural_order import in_natural_order
from inspector.values import Capture, Code, Uninspected

_MOST_KINDS: Final = 4
"""Most kinds of left-out files that a note names."""


class FolderSource:
    """The image files at the top of a folder; an unreadable file becomes a fault in its place.

    With `follow` the source never ends: see GrowingFolder. `pattern` selects among the names.
    """

    when_behind: ClassVar[WhenBehind] = WhenBehind.WAIT

    def __init__(
        self, path: Path, *, pattern: str = "*", follow: bool = False, grey_window: GreyWindow | None = None
    ) -> None:
        self.path = path
        self._pattern = pattern
        self._follow = follow
        self._grey_window = grey_window
        self._first: Sequence[str] = ()
        self._first_are_all = False
        self._files: list[Path] | None = None
        self._left_out: Counter[str] = Counter()

    def names(self) -> list[str]:
        """Return the names of the images that the folder holds now, in their order. Raises SourceError."""
        return [printable(path.name) for path in in_natural_order(self._look()[0])]

    def begin_with(self, names: Sequence[str], *, are_all: bool = False) -> None:
        """Take these files first, in this order, or with `are_all` no others; call it before the source is opened.

        A missing one is a fault.
        """
        self._first, self._first_are_all = names, are_all

    def __enter__(self) -> Self:
        files, self._left_out = self._look()
        if not files and not self._follow:
            endings = ", ".join(sorted(IMAGE_ENDINGS))
            what = "no image in it" if self._pattern == "*" else f"no image in it is called {self._pattern}"
            raise SourceError(f"{self.path}: {what} ({endings}); subfolders are not searched")
        files = in_natural_order(files)
        if self._first:
            named = {printable(path.name): path for path in files}
            first = [named.pop(name, self.path / name) for name in self._first]
            added = [] if self._first_are_all else [path for path in files if printable(path.name) in named]
            files = [*first, *added]
        self._files = files
        return self

    def _look(self) -> tuple[list[Path], Counter[str]]:
        """Return the images, and counts of everything else by kind; hidden files are ignored."""
        files, left_out = [], Counter[str]()
        for entry in self.visible():
            if entry.is_dir():
                left_out["subfolder"] += 1
            elif entry.suffix.lower() not in IMAGE_ENDINGS:
                left_out[printable(entry.suffix) or "nameless"] += 1
            elif self._is_frame(entry.name):
                files.append(entry)
        return files, left_out

    def _is_frame(self, name: str) -> bool:
        """Return whether a file of this name is a frame."""
        is_image = Path(name).suffix.lower() in IMAGE_ENDINGS and not name.startswith(".")
        return is_image and fnmatch.fnmatchcase(name, self._pattern)

    def visible(self) -> list[Path]:
        """Return every entry of the folder that is not hidden; raises SourceError."""
        try:
            return [entry for entry in self.path.iterdir() if not entry.name.startswith(".")]
        except NotADirectoryError:
            raise SourceError(f"{self.path}: not a folder; give the folder that holds the images") from None
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files = None

    def _opened(self) -> list[Path]:
        if self._files is None:
            raise RuntimeError("a source is used inside its with statement")
        return self._files

    def total(self) -> int | None:
        """Return the number of image files when the folder was opened; None for a followed folder."""
        return None if self._follow else len(self._opened())

    def notes(self) -> list[str]:
        """Return which entries of the folder are left out."""
        self._opened()
        subfolders = self._left_out["subfolder"]
        others = Counter({kind: count for kind, count in self._left_out.items() if kind != "subfolder"})
        notes = []
        if others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(_MOST_KINDS))
            more = ", …" if len(others) > _MOST_KINDS else ""
            notes.append(f"{others.total()} files of other formats are left out ({kinds}{more})")
        if subfolders:
            notes.append(f"{subfolders} subfolder{'s are' if subfolders > 1 else ' is'} left out")
        return notes

    def captures(self) -> Iterator[Capture | None]:
        """Yield the images in the order of their names (frame_2 before frame_10); a fault names its file."""
        if self._follow:
            growing = GrowingFolder(self.path, self._opened(), self._is_frame, self._capture)
            yield from growing.captures()
        for path in self._opened():
            yield self._capture(path)

    def _capture(self, path: Path) -> Capture:
        name = printable(path.name)
        try:
            return Capture(read_mono(path, self._grey_window), file=name)
        except ImageFault as fault:
            return Capture(None, fault=Uninspected(Code.UNREADABLE, f"{name}: {fault}"), file=name)

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield file names with (height, width) from the headers, without files whose header is unreadable."""
        for path in self._opened():
            try:
                size = read_size(path, self._grey_window)
            except ImageFault:
                continue  # captures reports it
            yield printable(path.name), size
