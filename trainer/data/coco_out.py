"""Writes a data set as COCO, for tools that people label with, such as CVAT and Label Studio.

A region becomes a polygon along the edges of its pixels if that polygon, read again, has exactly these pixels.
Else it becomes run lengths: regions with holes, or thinner than a polygon can say.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import new_folder
from trainer.data.coco import IMAGES_NAME
from trainer.data.coco_masks import decode_segmentation
from trainer.data.dataset import Dataset
from trainer.data.flat_names import flat_stems

ANNOTATIONS_NAME: Final = "annotations.json"

_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


@dataclass(slots=True)
class CocoOut:
    """Counts of what was written."""

    frames: int = 0
    polygons: int = 0
    run_lengths: int = 0


def write_coco(dataset: Dataset, out: Path, *, polygons_only: bool, show_progress: bool) -> CocoOut:
    """Write the frames and annotations.json to the new folder `out`.

    `polygons_only` writes outer outlines for tools that read no run lengths; holes are then filled. Raises
    InputError for data at fault.
    """
    found = CocoOut()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with new_folder(out) as building:
        (building / IMAGES_NAME).mkdir()
        stems = flat_stems([path.relative_to(dataset.root) for path in dataset.images.values()])
        for source, stem in zip(
            bar(dataset.names, "writing", total=len(dataset.names), show=show_progress), stems, strict=True
        ):
            name = f"{stem}{dataset.images[source].suffix}"
            pixels = dataset.frame(source)
            shape = (pixels.shape[0], pixels.shape[1])
            label = dataset.label(source, shape)
            shutil.copyfile(dataset.images[source], building / IMAGES_NAME / name)
            number = len(images) + 1
            images.append({"id": number, "file_name": name, "height": shape[0], "width": shape[1]})
            for entry in _regions(label, polygons_only=polygons_only, found=found):
                annotations.append({"id": len(annotations) + 1, "image_id": number, **entry})
        found.frames = len(images)
        content = {
            "info": {"description": "strip inspector"},
            "images": images,
            "categories": [
                {"id": kind, "name": name, "supercategory": "defect"}
                for kind, name in enumerate(dataset.classes)
                if kind
            ],
            "annotations": annotations,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (building / ANNOTATIONS_NAME).write_text(text, encoding="utf-8")
    return found


def _regions(label: Pixels, *, polygons_only: bool, found: CocoOut) -> list[dict[str, Any]]:
    entries = []
    for kind in np.flatnonzero(np.bincount(label.ravel())).tolist():
        if kind == 0:
            continue
        # Four neighbours: a polygon cannot pass through a corner.
        count, numbered, stats, _ = cv2.connectedComponentsWithStats(
            (label == kind).astype(np.uint8), connectivity=4
        )
        for region in range(1, count):
            x, y, width, height, area = (int(value) for value in stats[region])
            inside = numbered[y : y + height, x : x + width] == region
            polygon = _outline(inside, x, y)
            whole = np.zeros(label.shape, np.bool_)
            whole[y : y + height, x : x + width] = inside
            exact = np.array_equal(decode_segmentation([polygon], (label.shape[0], label.shape[1]))[0], whole)
            as_polygon = exact or polygons_only
            found.polygons += as_polygon
            found.run_lengths += not as_polygon
            entries.append(
                {
                    "category_id": kind,
                    "segmentation": [polygon] if as_polygon else _runs(whole),
                    "iscrowd": int(not as_polygon),
                    "area": area,
                    "bbox": [x, y, width, height],
                }
            )
    return entries


def _runs(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run lengths: background and region in turn, down the columns."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate(([0], edges, [flat.size]))
    counts = np.diff(ends).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def _outline(inside: NDArray[np.bool_], left: int, top: int) -> list[float]:
    """Corners of a region's outer edge along its pixels' borders, clockwise: x, y, x, y, …"""
    height, width = inside.shape

    def is_in(x: int, y: int) -> bool:
        return 0 <= x < width and 0 <= y < height and bool(inside[y, x])

    start = (int(np.flatnonzero(inside[0])[0]), 0)
    place, way = start, _RIGHT
    corners: list[float] = []
    while True:
        # The pixels ahead, to the left and to the right of an edge that is walked with the region on its right.
        ahead_left, ahead_right = _ahead(place, way)
        turn = way
        if not is_in(*ahead_right):
            turn = (-way[1], way[0])  # to the right
        elif is_in(*ahead_left):
            turn = (way[1], -way[0])  # to the left
        if turn != way or place == start:
            corners += [float(left + place[0]), float(top + place[1])]
        way = turn
        place = (place[0] + way[0], place[1] + way[1])
        if place == start and len(corners) > 2:
            return corners


def _ahead(place: tuple[int, int], way: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels ahead of a corner, left and right of the way."""
    x, y = place
    return {
        _RIGHT: ((x, y - 1), (x, y)),
        _DOWN: ((x, y), (x - 1, y)),
        _LEFT: ((x - 1, y), (x - 1, y - 1)),
        _UP: ((x - 1, y - 1), (x, y - 1)),
    }[way]
