"""Reads labelme: one JSON file beside each image."""

from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspector.errors import InputError
from trainer.data.importing.outlines import ellipse, rectangle
from trainer.data.importing.regions import (
    NO_AREA,
    Region,
    bitmap,
    draw_regions,
    no_image,
    outline,
    pasted,
    refusal,
    source_of,
)
from trainer.data.importing.source import (
    ImageFinder,
    Options,
    Source,
    SourceFrame,
    files_below,
    part_of,
    read_json,
    written_by,
)

_IGNORE: Final = "__ignore__"
_POINTS: Final = {"rectangle": 2, "circle": 2}
"""Shape → its number of points."""


def read_labelme(root: Path, options: Options) -> Source:
    """Read labelme's files: polygons, rectangles, circles and masks."""
    finder = ImageFinder(root)
    frames = []
    for file in files_below(root, "*.json"):
        content = read_json(file)
        if not isinstance(content, dict) or "shapes" not in content:
            continue
        image = finder.find(content["imagePath"], file) or finder.find(f"{file.stem}.jpg", file)
        if image is None:
            raise InputError(no_image(file, content["imagePath"], finder))
        with written_by("labelme", file):
            regions = [
                (str(shape["label"]), f"shape {number} ({shape['label']})", _labelme_region(shape, options))
                for number, shape in enumerate(content["shapes"], start=1)
            ]
        height, width = content.get("imageHeight"), content.get("imageWidth")
        size = (int(height), int(width)) if height and width else None
        frames.append(SourceFrame(image, file, partial(draw_regions, file, regions), size, part_of(file, root)))
    return source_of(frames, finder, root, "labelme's .json files with shapes")


def _labelme_region(shape: dict[str, Any], options: Options) -> Region:
    kind, points = shape.get("shape_type") or "polygon", shape["points"]
    if shape["label"] == _IGNORE:
        return refusal(f"{_IGNORE} marks pixels without a class: give it a class, or remove it")
    if kind == "polygon":
        return outline(points, clip=options.clip)
    if kind == "rectangle" and len(points) == 4:  # some versions store every corner
        return outline(points, clip=options.clip)
    if len(points) != _POINTS.get(kind, len(points)):
        return refusal(f"a {kind} of {len(points)} points: draw it again")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points
        corners = rectangle(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        return outline(corners, clip=options.clip)
    if kind == "circle":
        (x, y), (edge_x, edge_y) = points
        radius = float(np.hypot(edge_x - x, edge_y - y))
        return outline(ellipse(x, y, radius, radius), clip=options.clip)
    if kind == "mask":
        return pasted(bitmap(shape["mask"], packed=False), round(points[0][0]), round(points[0][1]))
    return refusal(f"a {kind} {NO_AREA}")
