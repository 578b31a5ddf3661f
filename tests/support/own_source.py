"""A source as a user writes one: it shows the arrays of an .npy file, whose third frame is a fault."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from inspector.api import Capture, Code, SourceError, Uninspected, WhenBehind

FAULTY = 2


class OwnSource:
    """Opened by the config as `tests.support.own_source:OwnSource`."""

    when_behind = WhenBehind.WAIT

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._frames: np.ndarray = np.empty((0, 0, 0), np.uint8)

    def __enter__(self) -> Self:
        try:
            self._frames = np.load(self._path)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def total(self) -> int | None:
        return len(self._frames)

    def notes(self) -> list[str]:
        return ["a source of the user's"]

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        yield "own", self._frames.shape[1:]

    def captures(self) -> Iterator[Capture | None]:
        for number, pixels in enumerate(self._frames):
            yield Capture(None, Uninspected(Code.NO_FRAME, "lost")) if number == FAULTY else Capture(pixels)
