"""A small labelled data set, and a network trained on it once for all tests."""

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch

from inspector.backends.speed import measure_speed
from inspector.values import Pixels
from tests.support.once import Once
from trainer.cli import main
from trainer.data.rle import encode

HEIGHT, WIDTH = 72, 100
FRAMES = 32
CLASSES = ("normal", "pit", "streak")


def make_labelled(index: int) -> tuple[Pixels, Pixels]:
    """A grey frame and its label: dark pits in two of four, bright streaks in one of four, one of four clean."""
    random = np.random.default_rng(index)
    frame = random.normal(120.0, 6.0, (HEIGHT, WIDTH))
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    if index % 4 in (1, 2):
        y, x = int(random.integers(4, HEIGHT - 24)), int(random.integers(4, WIDTH - 24))
        frame[y : y + 20, x : x + 20] -= 70.0
        label[y : y + 20, x : x + 20] = 1
    if index % 4 == 3:
        x = int(random.integers(4, WIDTH - 16))
        frame[:, x : x + 12] += 70.0
        label[:, x : x + 12] = 2
    return np.clip(frame, 0, 255).astype(np.uint8), label


def write_label_maps(root: Path, frames: int = FRAMES) -> Path:
    """`images/`, `masks/` and classes.json."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for index in range(frames):
        frame, label = make_labelled(index)
        cv2.imwrite(str(root / "images" / f"{index:03}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"{index:03}.png"), label)
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


def write_severstal(root: Path, *, old_spelling: bool, frames: int = 8) -> Path:
    """`train_images/` and train.csv in either of its spellings."""
    (root / "train_images").mkdir(parents=True)
    rows: list[tuple[str, ...]] = [("ImageId_ClassId", "EncodedPixels")]
    if not old_spelling:
        rows = [("ImageId", "ClassId", "EncodedPixels")]
    for index in range(frames):
        name = f"{index:03}.png"
        frame, label = make_labelled(index)
        cv2.imwrite(str(root / "train_images" / name), frame)
        for kind in range(1, 5):
            runs = encode(label == kind)
            if old_spelling:
                rows.append((f"{name}_{kind}", runs))
            elif runs:
                rows.append((name, str(kind), runs))
    with (root / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """The labelled frames as label maps."""
    return once.folder("steel", write_label_maps)


TRAIN_OPTIONS = (
    *("--widths", "8,16", "--stem-stride", "2", "--batch", "8", "--lr", "0.01", "--ema", "0.9"),
    *("--val", "0.25", "--threads", "1", "--precision", "fp32", "--device", "cpu"),
)
"""A network of 9,000 weights learns this steel in seconds."""


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Tests share the machine; more threads than cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


BRIEFLY_S = 0.1
"""Long enough for a figure, which no test here holds against another."""


@pytest.fixture(scope="session", autouse=True)
def speed_is_measured_briefly() -> Iterator[None]:
    """Each build measures its engine's speed for two seconds on all cores; a build in this process takes less."""
    with patch("trainer.build.build.measure_speed", partial(measure_speed, seconds=BRIEFLY_S)):
        yield


@pytest.fixture(scope="session")
def run_folder(data: Path, once: Once, one_thread: None) -> Path:
    """A finished run."""
    options = ("--epochs", "20", *TRAIN_OPTIONS)
    return once.folder("run", lambda out: made("train", "--data", data, "--out", out, *options))


@pytest.fixture(scope="session")
def model_folder(run_folder: Path, once: Once) -> Path:
    """Its export."""
    return once.folder("model", lambda out: made("export", run_folder / "best.ckpt", "--out", out))


@pytest.fixture(scope="session")
def engine_folder(model_folder: Path, once: Once) -> Path:
    """Its OpenVINO engine."""
    options = ("--precision", "fp32")
    return once.folder("engine", lambda out: made("build-engine", model_folder, *options, "--out", out))


def made(*command: object) -> None:
    """The trainer's command makes it, or the test fails."""
    assert main([*map(str, command)]) == 0
