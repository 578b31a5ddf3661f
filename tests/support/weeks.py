"""A mill whose scratches change their look: bright in the first week, dark and thinner in the second."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from inspector.api import Capture, WhenBehind
from inspector.values import Pixels

SIZE = (64, 128)
CLASSES = ("normal", "scratch")
COIL_FRAMES = 10
DEFECTIVE_SHARE = 0.5


def frame(week: int, number: int, seed: int = 0) -> tuple[Pixels, Pixels]:
    """A frame and its mask; each coil has its own light and texture."""
    coil = np.random.default_rng((seed, week, number // COIL_FRAMES, 1))
    random = np.random.default_rng((seed, week, number, 2))
    grain, light = coil.uniform(3, 6), coil.uniform(105, 125)
    steel = light + grain * cv2.GaussianBlur(random.normal(0, 1, SIZE), (0, 0), 0.7) * 2
    steel += coil.uniform(3, 8) * np.sin(np.arange(SIZE[1]) / coil.uniform(8, 20))[None, :]
    mask = np.zeros(SIZE, np.uint8)
    if random.random() < DEFECTIVE_SHARE:
        x, y = int(random.integers(10, SIZE[1] - 10)), int(random.integers(4, 24))
        end = (x + int(random.integers(-6, 7)), y + int(random.integers(24, 38)))
        cv2.line(mask, (x, y), end, 1, 4 if week == 1 else 3)
        steel[mask > 0] += 55 if week == 1 else -45
    return np.clip(steel, 0, 255).astype(np.uint8), mask


def write_labelled(root: Path, weeks: tuple[int, ...], frames: int, seed: int) -> Path:
    """Labelled frames of these weeks, in the trainer's layout."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for week in weeks:
        for number in range(frames):
            for name, plane in zip(("images", "masks"), frame(week, number, seed), strict=True):
                assert cv2.imwrite(str(root / name / f"w{week}-{number:04}.png"), plane)
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


class Mill:
    """The line's camera in a week, opened by the config as `tests.support.weeks:Mill`."""

    when_behind = WhenBehind.SHED_OLDEST

    def __init__(self, week: int, frames_per_second: float) -> None:
        self._week, self._pause_s = week, 1.0 / frames_per_second

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def total(self) -> int | None:
        return None

    def notes(self) -> list[str]:
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        yield "mill", SIZE

    def captures(self) -> Iterator[Capture | None]:
        number = 0
        while True:
            time.sleep(self._pause_s)
            yield Capture(frame(self._week, number)[0], coil=f"W{self._week}-{number // COIL_FRAMES}")
            number += 1
