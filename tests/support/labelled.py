"""A small labelled data set in the layouts that the trainer reads."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.values import Pixels
from trainer.data.rle import encode

HEIGHT, WIDTH = 72, 100
FRAMES = 32
CLASSES = ("normal", "pit", "streak")
COCO_FRAMES = 8


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


def annotation(index: int, image: int, category: int, segmentation: Any) -> dict[str, Any]:
    return {"id": index, "image_id": image, "category_id": category, "segmentation": segmentation}


def polygon(mask: np.ndarray) -> list[list[float]]:
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return [[float(v) for v in (left, top, right, top, right, bottom, left, bottom)]]


def write_coco(root: Path, draw: Callable[[np.ndarray], Any] = polygon, name: str = "annotations.json") -> Path:
    """The labelled frames of the other tests, with category ids that are not 1..K."""
    (root / "images").mkdir(parents=True)
    images: list[Any] = []
    annotations: list[Any] = []
    for index in range(COCO_FRAMES):
        frame, label = make_labelled(index)
        file = f"{index:03}.png"
        cv2.imwrite(str(root / "images" / file), frame)
        images.append({"id": 100 + index, "file_name": file, "height": HEIGHT, "width": WIDTH})
        for kind, category in ((1, 7), (2, 12)):
            if (label == kind).any():
                annotations.append(annotation(len(annotations), 100 + index, category, draw(label == kind)))
    categories = [{"id": 12, "name": "streak"}, {"id": 7, "name": "pit"}]
    document = {"images": images, "categories": categories, "annotations": annotations}
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(document))
    return root
