"""`trainer export-coco`: what a labelling tool gets, and what comes back."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.values import Pixels
from trainer.cli import main
from trainer.data.formats import open_dataset

CLASSES = ("normal", "pit", "streak")


def awkward_labels() -> list[Pixels]:
    """Blobs, a ring, single pixels, pixels that touch at a corner, classes that touch, a frame's edges, noise."""
    random = np.random.default_rng(3)
    labels = [np.zeros((40, 60), np.uint8) for _ in range(5)]
    cv2.circle(labels[0], (20, 20), 12, 1, -1)
    cv2.circle(labels[0], (20, 20), 5, 0, -1)
    labels[0][0, :] = labels[0][:, -1] = 2
    labels[1][5, 5] = labels[1][6, 6] = labels[1][7, 5] = 1
    labels[1][20:30, 20:30] = 1
    labels[1][20:30, 30:40] = 2
    labels[2][:] = 1
    labels[3] = (cv2.GaussianBlur(random.random((40, 60)), (0, 0), 2) > 0.5).astype(np.uint8)
    labels[4] = random.integers(0, 3, (40, 60), dtype=np.uint8)
    return labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index, label in enumerate(awkward_labels()):
        cv2.imwrite(str(root / "images" / f"{index}.png"), np.full(label.shape, 100 + index, np.uint8))
        cv2.imwrite(str(root / "masks" / f"{index}.png"), label)
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


def test_what_goes_out_comes_back_pixel_by_pixel(data: Path, tmp_path: Path) -> None:
    """Through the trainer's own reader and through `trainer import coco`, whatever the regions look like."""
    assert main(["export-coco", str(data), str(tmp_path / "coco")]) == 0
    assert main(["import", "coco", str(tmp_path / "coco"), str(tmp_path / "back"), "--unlisted", "normal"]) == 0
    for folder in ("coco", "back"):
        found = open_dataset(tmp_path / folder)
        assert found.classes == CLASSES
        for index, label in enumerate(awkward_labels()):
            assert (found.label(f"{index}.png", (40, 60)) == label).all(), (folder, index)
            assert (found.frame(f"{index}.png") == 100 + index).all()


def test_plain_regions_are_polygons_that_a_person_can_move(data: Path, tmp_path: Path) -> None:
    """A square has four corners; a ring needs run lengths, unless the tool takes outlines only."""
    assert main(["export-coco", str(data), str(tmp_path / "coco")]) == 0
    content = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    of_second = [each for each in content["annotations"] if each["image_id"] == 2 and each["area"] == 100]
    assert [each["segmentation"] for each in of_second] == [
        [[20, 20, 30, 20, 30, 30, 20, 30]],
        [[30, 20, 40, 20, 40, 30, 30, 30]],
    ]
    ring = next(each for each in content["annotations"] if each["image_id"] == 1 and each["category_id"] == 1)
    assert isinstance(ring["segmentation"], dict)
    assert ring["iscrowd"] == 1
    assert main(["export-coco", str(data), str(tmp_path / "outlines"), "--polygons"]) == 0
    content = json.loads((tmp_path / "outlines" / "annotations.json").read_text())
    assert all(isinstance(each["segmentation"], list) for each in content["annotations"])
