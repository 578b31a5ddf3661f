"""Reads VIA, the VGG Image Annotator: one JSON file."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from inspector.errors import InputError
from trainer.data.importing.outlines import ellipse, rectangle
from trainer.data.importing.regions import NO_AREA, Region, draw_regions, no_image, outline, refusal, source_of
from trainer.data.importing.source import (
    ImageFinder,
    Options,
    Source,
    SourceFrame,
    label_files,
    part_of,
    read_json,
)


def read_via(root: Path, options: Options) -> Source:
    """Read VIA's project or annotation file: polygons, rectangles, circles, ellipses."""
    folder, files = label_files(root, "*.json")
    finder = ImageFinder(folder)
    frames = []
    for file in files:
        content = read_json(file)
        entries = content.get("_via_img_metadata", content) if isinstance(content, dict) else {}
        for entry in entries.values():
            if not isinstance(entry, dict) or "regions" not in entry:
                continue
            image = finder.find(entry["filename"], file)
            if image is None:
                raise InputError(no_image(file, entry["filename"], finder))
            listed = entry["regions"]
            listed = list(listed.values()) if isinstance(listed, dict) else listed  # VIA 1 and 2
            regions = []
            for number, region in enumerate(listed, start=1):
                where = f"{entry['filename']}, region {number}"
                label = _via_label(region["region_attributes"], options, file, where)
                regions.append((label, f"{where} ({label})", _via_region(region["shape_attributes"], options)))
            part = part_of(image, folder)
            frames.append(SourceFrame(image, file, partial(draw_regions, file, regions), None, part))
    return source_of(frames, finder, root, "VIA's .json with regions")


def _via_label(attributes: dict[str, Any], options: Options, file: Path, where: str) -> str:
    if not attributes and len(options.classes) == 2:
        return options.classes[1]
    if options.attribute is not None:
        value = attributes.get(options.attribute)
    elif len(attributes) == 1:
        value = next(iter(attributes.values()))
    else:
        raise InputError(
            f"{file}: {where} has the attributes {', '.join(attributes) or 'none'}: --attribute NAME states "
            "which one is the class, or --classes normal,scratch if there is one class"
        )
    if isinstance(value, dict):  # of a checkbox: {"scratch": true}
        ticked = [name for name, is_ticked in value.items() if is_ticked]
        if len(ticked) > 1:
            raise InputError(f"{file}: {where} has the classes {', '.join(ticked)}: give it one, or draw it twice")
        value = next(iter(ticked), None)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{file}: {where} has no class in {attributes}: give it one, or remove the region")
    return value.strip()


def _via_region(shape: dict[str, Any], options: Options) -> Region:
    kind = shape["name"]
    if kind == "polygon":
        points = list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        return outline(points, clip=options.clip)
    if kind == "rect":
        left, top = shape["x"], shape["y"]
        return outline(rectangle(left, top, left + shape["width"], top + shape["height"]), clip=options.clip)
    if kind == "circle":
        return outline(ellipse(shape["cx"], shape["cy"], shape["r"], shape["r"]), clip=options.clip)
    if kind == "ellipse":
        turned = float(np.degrees(shape.get("theta", 0.0)))
        return outline(ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"], turned), clip=options.clip)
    return refusal(f"a {kind} {NO_AREA}")
