"""COCO annotations become the labels they were drawn as, and what is wrong in them is named."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from inspector.errors import InputError
from tests.support.labelled import COCO_FRAMES, HEIGHT, WIDTH, annotation, make_labelled, polygon, write_coco
from trainer.data.coco_masks import decode_segmentation
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames


def _packed(mask: np.ndarray) -> dict[str, Any]:
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


def _listed(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths down the columns, the first of background."""
    flat = mask.T.ravel().astype(np.int8)
    borders = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *borders.tolist(), flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


@pytest.mark.parametrize("draw", [polygon, _packed, _listed])
@pytest.mark.parametrize(
    "name", ["annotations.json", "annotations/instances_default.json", "_annotations.coco.json"]
)
def test_labels_survive_every_way_to_write_them(
    tmp_path: Path, draw: Callable[[np.ndarray], Any], name: str
) -> None:
    """Polygons and both run lengths, wherever the tool left its file; classes in the order of their ids."""
    dataset = open_dataset(write_coco(tmp_path / "d", draw, name))
    assert dataset.classes == ("normal", "pit", "streak")
    loaded = load_frames(dataset, dataset.names)
    for index in range(COCO_FRAMES):
        frame, label = make_labelled(index)
        np.testing.assert_array_equal(loaded.frames[index], frame)
        np.testing.assert_array_equal(loaded.labels[index], label)


def _change(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(root: Path) -> None:
        path = root / "annotations.json"
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return damage


def _first(**changes: Any) -> Callable[[Path], object]:
    return _change(lambda document: document["annotations"][0].update(changes))


def _add(category: int, segmentation: Any) -> Callable[[Path], object]:
    extra = annotation(99, 101, category, segmentation)
    return _change(lambda document: document["annotations"].append(extra))


WHOLE = [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "images" / "001.png").unlink(), r"image 101 \(001\.png\): no such file: was the"),
        (_first(image_id=5), r"annotations\.json: annotation 0: image 5 is not in the list of images"),
        (_first(category_id=13), r"annotation 0: category 13 is not in the list of categories"),
        (_first(segmentation=[]), r"annotation 0 \(001\.png, pit\): has no polygon and no run lengths"),
        (_first(segmentation=[[1, 2, 3, 4]]), r"annotation 0 .*: a polygon must be a list of x, y pairs"),
        (_first(segmentation=[[1, 2, "x", 4, 5, 6]]), r"annotation 0 .*: a polygon must hold numbers only"),
        (_first(segmentation=[[0, 0, 140, 0, 9, 9]]), rf"corner 140, 0 lies outside the frame's {HEIGHT}×{WIDTH}"),
        (
            _first(segmentation={"size": [HEIGHT, WIDTH], "counts": [7190, 40]}),
            r"annotation 0 .*: run lengths add up to 7230 but the frame has 72×100 pixels",
        ),
        (
            _first(segmentation={"size": [10, 10], "counts": [50, 50]}),
            r"annotation 0 .*: mask is of size \[10, 10\] but the frame is 72×100 px",
        ),
        (
            _first(segmentation={"size": [HEIGHT, WIDTH], "counts": "0"}),
            r"annotation 0 .*: run lengths add up to 0 but the frame has 72×100 pixels",
        ),
        (
            _add(12, WHOLE),
            r"annotation 99 \(001\.png, streak\): overlaps annotation 0 \(001\.png, pit\) in 400 px",
        ),
        (
            _change(lambda d: d["images"][1].update(width=90)),
            r"image 101 \(001\.png\): 72×90 px in the list of images",
        ),
        (_change(lambda d: d["images"][2].update(id=101)), r"image 101 \(002\.png\): listed twice"),
        (_change(lambda d: d.pop("categories")), r"annotations\.json: categories: Field required: must be COCO"),
        (lambda root: (root / "annotations.json").write_text('{"images": ['), r"annotations\.json: Invalid JSON"),
        (lambda root: (root / "instances.json").write_text("{}"), r"2 annotation files .*: keep one"),
        (lambda root: (root / "classes.json").write_text('["normal", "pit"]'), r"category 12: 'streak' is not in"),
    ],
)
def test_a_damaged_coco_folder_is_named_by_file_and_annotation(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """One line says what is wrong, and where."""
    root = write_coco(tmp_path / "d")
    damage(root)
    with pytest.raises(InputError, match=message) as caught:
        load_frames(dataset := open_dataset(root), dataset.names)
    assert "\n" not in str(caught.value)


def test_polygons_may_share_a_seam(tmp_path: Path) -> None:
    """Two pixels of overlap along a common edge go to the smaller mask; run lengths may not overlap at all."""
    root = write_coco(tmp_path / "d")
    small, large = [[10, 10, 30, 10, 30, 30, 10, 30]], [[28, 0, 60, 0, 60, 60, 28, 60]]
    both = [annotation(1, 100, 7, small), annotation(2, 100, 12, large)]
    _change(lambda document: document.update(annotations=both))(root)
    label = open_dataset(root).label("000.png", (HEIGHT, WIDTH))
    assert label[20, 26:34].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    left, right = np.zeros((2, HEIGHT, WIDTH), np.bool_)
    left[10:30, 10:30], right[:60, 29:60] = True, True
    both = [annotation(1, 100, 7, _listed(left)), annotation(2, 100, 12, _listed(right))]
    _change(lambda document: document.update(annotations=both))(root)
    with pytest.raises(InputError, match=r"annotation 2 .*overlaps annotation 1 .*in 20 px"):
        open_dataset(root).label("000.png", (HEIGHT, WIDTH))


def test_packed_runs_are_those_pycocotools_packs() -> None:
    """Long, short, growing and shrinking runs."""
    random = np.random.default_rng(1)
    for share in (0.001, 0.1, 0.5, 0.999):
        mask = random.random((57, 211)) < share
        decoded, is_polygon = decode_segmentation(_packed(mask), mask.shape)
        np.testing.assert_array_equal(decoded, mask)
        assert not is_polygon


def test_an_image_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    """A file name that climbs out of the data set counts as missing."""
    root = write_coco(tmp_path / "d")
    cv2.imwrite(str(tmp_path / "secret.png"), make_labelled(0)[0])
    _change(lambda document: document["images"][0].update(file_name="../../secret.png"))(root)
    with pytest.raises(InputError, match=r"image 100 \(\.\./\.\./secret\.png\): no such file"):
        open_dataset(root)


def test_without_pycocotools_one_line_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only when a polygon is to be drawn: the layout itself is read without it."""
    dataset = open_dataset(write_coco(tmp_path / "d"))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"COCO mask needs pycocotools.*pip install 'strip-inspector\[train\]'"):
        dataset.label(dataset.names[1], (HEIGHT, WIDTH))
