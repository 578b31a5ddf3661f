"""The picture check as a plant uses it: `inspector calibrate`, its table in the recipe, then a replay.

Real frames where they are there (all of both sets, over 3,000), simulated strip elsewhere.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.sources.simulator import StripSettings, strip
from inspector.values import Pixels
from tests.support import steel
from tests.support.lines import PATIENCE_S, LineUnderTest

LEARNED_FROM = 64
FAULTY = 40
"""Frames of each set that every fault is made from."""

SETS = {
    "severstal": ((256, 1600), ("severstal/test_images", "severstal/train_images")),
    "neu_seg": ((200, 200), ("neu_seg/images",)),
}
SIMULATED = 120

NOISE = np.random.default_rng(3)


def sensor_noise(pixels: np.ndarray, sigma: float = 1.0) -> Pixels:
    """Add a camera's noise, so that no two pictures are equal."""
    return np.clip(pixels + NOISE.normal(0, sigma, pixels.shape), 0, 255).round().astype(np.uint8)


FAULTS: dict[str, tuple[Callable[[Pixels], Pixels], set[str]]] = {
    "lamp out": (lambda p: sensor_noise(p * 0.01), {"picture_dark"}),
    "lens covered": (lambda p: sensor_noise(np.zeros(p.shape)), {"picture_dark"}),
    "half dark": (
        lambda p: sensor_noise(p * np.where(np.arange(len(p))[:, None] < len(p) // 2, 1.0, 0.02)),
        {"picture_uneven"},
    ),
    "saturated": (
        lambda p: np.clip(p * (600.0 / max(1.0, float(np.median(p[p > 20])))), 0, 255).astype(np.uint8),
        {"picture_bright"},
    ),
    "defocused": (lambda p: np.asarray(cv2.GaussianBlur(p, (0, 0), 4), np.uint8), {"picture_blurred"}),
}


@pytest.fixture(scope="module", params=SETS)
def frames(request: pytest.FixtureRequest) -> list[Pixels]:
    """One set, in a fixed random order: the 64 that limits are learned from are not all of one kind."""
    size, folders = SETS[request.param]
    paths = [path for name in folders if (folder := steel.real(name)) for path in sorted(folder.iterdir())]
    pictures = [picture for path in paths if (picture := cv2.imread(str(path), 0)) is not None]
    pictures = [picture for picture in pictures if picture.shape == size]
    if not pictures:
        made = strip(StripSettings(seed=5, height=size[0], width=size[1], defective_share=0.2))
        pictures = [next(made).pixels for _ in range(SIMULATED)]
    order = np.random.default_rng(1).permutation(len(pictures))
    return [pictures[index] for index in order]


def folder_of(folder: Path, pictures: list[Pixels]) -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures):
        # BMP: compressing thousands of pictures would take most of the test's time.
        assert cv2.imwrite(str(folder / f"{index:05d}.bmp"), picture)
    return folder


def test_real_steel_passes_and_no_faulty_picture_is_inspected(frames: list[Pixels], tmp_path: Path) -> None:
    """Limits learned on 64 frames: no false alarm on all others, and every fault has its code."""
    line = LineUnderTest(tmp_path, frames[0].shape, defect_grey=256)
    calibrated = line.start(
        "calibrate", folder_of(tmp_path / "learned", frames[:LEARNED_FROM]), "--config", line.config
    )
    table, stderr = calibrated.communicate(timeout=PATIENCE_S)
    assert calibrated.returncode == 0, stderr
    with (tmp_path / "recipe.toml").open("a") as recipe:
        recipe.write(table)

    others = frames[LEARNED_FROM:]
    # Exact copies, of which both sets have some, are frozen pictures only if they come one after the other.
    good = line.replay(folder_of(tmp_path / "good", others), out=tmp_path / "good-out")
    assert good.code == 0, good.stderr
    print(f"{len(others)} good frames: {good.summary['uninspected_codes']}")
    assert Counter(good.decisions)["uninspected"] == 0, good.summary["uninspected_codes"]

    pictures, kinds = [], []
    for name, (change, _) in FAULTS.items():
        pictures += [change(picture) for picture in others[:FAULTY]]
        kinds += [name] * FAULTY
    for picture in others[:FAULTY]:
        pictures += [picture, picture, picture]
        kinds += ["sound", "frozen", "frozen"]
    codes = {name: allowed for name, (_, allowed) in FAULTS.items()} | {"frozen": {"picture_frozen"}}
    bad = line.replay(folder_of(tmp_path / "bad", pictures), out=tmp_path / "bad-out")
    inspected = Counter(
        kind for kind, verdict in zip(kinds, bad.verdicts, strict=True) if verdict["decision"] != "uninspected"
    )
    print(f"{len(pictures)} pictures, inspected: {dict(inspected)}")
    assert inspected == {"sound": FAULTY}
    for kind, verdict in zip(kinds, bad.verdicts, strict=True):
        if kind != "sound":
            assert set(verdict["codes"]) <= codes[kind], (kind, verdict["codes"])
