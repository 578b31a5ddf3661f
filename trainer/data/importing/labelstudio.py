"""Reads Label Studio: one JSON file of tasks."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from inspector.errors import InputError
from trainer.data.importing.brush import decode_brush
from trainer.data.importing.outlines import ellipse, rectangle
from trainer.data.importing.regions import (
    NO_AREA,
    Region,
    draw_regions,
    no_image,
    outline,
    refusal,
    source_of,
)
from trainer.data.importing.source import (
    ImageFinder,
    Options,
    Size,
    Source,
    SourceFrame,
    label_files,
    part_of,
    read_json,
)

LABELS: Final = "labels"
"""Type of the result that names a region drawn by a shape without labels: <Labels> beside <Polygon>."""
WORDS: Final = frozenset(["choices", "textarea", "rating", "number", "taxonomy", "datetime"])
"""Types of results that say something of a region, and draw none."""
_UPLOAD: Final = re.compile(r"(?<![^/\\])[0-9a-f]{8}-(?=[^/\\]+$)")
"""What Label Studio puts before the name of an upload: "a1b2c3d4-frame.png" is "frame.png"."""


def read_labelstudio(root: Path, options: Options) -> Source:
    """Read Label Studio's JSON export: polygons, rectangles, ellipses and brushes."""
    folder, files = label_files(root, "*.json")
    files = [file for file in files if file.parent == folder]
    tasks = [(file, task) for file in files for task in _tasks(file)]
    if not tasks:
        raise InputError(
            f"{files[0] if files else root}: holds no task: in Label Studio, export the project as JSON after "
            "labelling it"
        )
    finder = ImageFinder(folder)
    frames = []
    for file, task in tasks:
        texts = [value for value in task["data"].values() if isinstance(value, str)]
        names = [text.rpartition("?d=")[2] for text in texts]  # ?d= is a file that a local storage serves
        name = next((each for each in names if _find(finder, each, file) is not None), names[0] if names else "")
        image = _find(finder, name, file)
        if image is None:
            raise InputError(no_image(file, name, finder))
        answers = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
        if len(answers) > 1:
            raise InputError(
                f"{file}: task {task.get('id')} ({name}): has {len(answers)} annotations: which one is right? "
                "Delete the others in Label Studio, and export again"
            )
        size, regions = None, []
        results = answers[0]["result"] if answers else []
        named = {one["id"]: one["value"][LABELS] for one in results if one.get("type") == LABELS and "id" in one}
        drawn = {one["id"] for one in results if one.get("type") != LABELS and "id" in one}
        for number, region in enumerate(results, start=1):
            if "original_height" not in region or region["type"] in WORDS:
                continue  # a choice or a relation
            if region["type"] == LABELS and region.get("id") in drawn:
                continue  # names a region that is drawn on its own
            size = (int(region["original_height"]), int(region["original_width"]))
            value = region["value"]
            labels: list[str] = next(
                (names for key, names in value.items() if key.endswith(LABELS) and names),
                named.get(region.get("id"), []),
            )
            if len(labels) != 1:
                has = f"the labels {', '.join(labels)}" if labels else "no label"
                raise InputError(f"{file}: task {task.get('id')}: region {number} has {has}: give it one")
            where = f"task {task.get('id')}, region {number} ({labels[0]})"
            drawing = _labelstudio_region(value, region["type"], size, options)
            if turned := region.get("image_rotation"):
                drawing = refusal(f"was drawn on a picture turned by {turned}°: turn it back first")
            regions.append((labels[0], where, drawing))
        draw = partial(draw_regions, file, regions) if answers else None
        frames.append(SourceFrame(image, file, draw, size, part_of(image, folder)))
    return source_of(frames, finder, root, "Label Studio's .json of tasks")


def _find(finder: ImageFinder, name: str, file: Path) -> Path | None:
    """Find a task's image, whose name may be quoted as in a URL, and have the prefix of an upload."""
    for written in (name, unquote(name)):
        image = finder.find(written, file) or finder.find(_UPLOAD.sub("", written), file)
        if image is not None:
            return image
    return None


def _tasks(file: Path) -> Iterator[dict[str, Any]]:
    content = read_json(file)
    if not isinstance(content, list):
        raise InputError(f"{file}: not Label Studio's JSON export, which is a list of tasks")
    yield from content


def _labelstudio_region(value: dict[str, Any], kind: str, size: Size, options: Options) -> Region:
    height, width = size
    sx, sy = width / 100, height / 100  # everything is in per cent of the frame
    if kind in {"brushlabels", "brush"}:
        return lambda _: decode_brush(value["rle"], size)
    if kind in {"polygonlabels", "polygon"}:
        return outline([[x * sx, y * sy] for x, y in value["points"]], clip=options.clip)
    if kind in {"ellipselabels", "ellipse"}:
        x, y, rx, ry = value["x"] * sx, value["y"] * sy, value["radiusX"] * sx, value["radiusY"] * sy
        return outline(ellipse(x, y, rx, ry, value.get("rotation", 0.0)), clip=options.clip)
    if kind in {"rectanglelabels", "rectangle"}:
        if value.get("rotation"):
            return refusal("a turned rectangle: draw it as a polygon")
        left, top = value["x"] * sx, value["y"] * sy
        corners = rectangle(left, top, left + value["width"] * sx, top + value["height"] * sy)
        return outline(corners, clip=options.clip)
    return refusal(f"a region of type {kind} {NO_AREA}")
