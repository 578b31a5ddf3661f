"""A camera whose lamp loses a tenth of its light at a given frame: steel as noise, at a camera's pace."""

import time
from collections.abc import Iterator
from typing import Self

import numpy as np

from inspector.api import Capture, WhenBehind


class Dimming:
    """Opened by the config as `tests.support.dimming:Dimming`."""

    when_behind = WhenBehind.WAIT

    def __init__(self, height: int, width: int, frames_per_second: float, dims_at: int) -> None:
        self._size, self._pause_s, self._dims_at = (height, width), 1.0 / frames_per_second, dims_at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def total(self) -> int | None:
        return None

    def notes(self) -> list[str]:
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        yield "dimming", self._size

    def captures(self) -> Iterator[Capture | None]:
        random = np.random.default_rng(1)
        number = 0
        while True:
            time.sleep(self._pause_s)
            steel = random.normal(120.0, 8.0, self._size) + random.normal(0.0, 0.5)
            light = 0.9 if number >= self._dims_at else 1.0
            yield Capture(np.clip(steel * light, 0, 255).astype(np.uint8))
            number += 1
