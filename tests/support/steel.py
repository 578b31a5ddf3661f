"""Frames for tests: real steel where the folder is there, simulated strip elsewhere."""

import os
from pathlib import Path

import cv2
import numpy as np

from inspector.sources.simulator import StripSettings, strip

SHARED = Path(os.environ.get("INSPECTOR_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""Real steel frames; see docs/contributing.md. Tests use them where they are and pass without."""


def real(name: str) -> Path | None:
    """A folder of real frames, or None."""
    folder = SHARED / name
    return folder if folder.is_dir() else None


def steel_folder(folder: Path, count: int) -> Path:
    """A folder of 256×1600 frames: real ones if available, else simulated."""
    severstal = real("severstal")
    folder.mkdir()
    if severstal is not None:
        for path in sorted((severstal / "train_images").iterdir())[:count]:
            (folder / path.name).write_bytes(path.read_bytes())
        return folder
    frames = strip(StripSettings(seed=5, defective_share=0.5))
    for index, frame in zip(range(count), frames, strict=False):
        assert cv2.imwrite(str(folder / f"{index:04d}.png"), frame.pixels)
    return folder


def read(folder: Path) -> list[np.ndarray]:
    """A folder's images in order, mono."""
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.iterdir())]  # type: ignore[misc]
