"""Reads CVAT: one XML file, "CVAT for images 1.1"."""

from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from inspector.errors import InputError
from trainer.data.importing.outlines import ellipse, rectangle, rotated
from trainer.data.importing.regions import (
    NO_AREA,
    Region,
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
    label_files,
    part_named,
    part_of,
)


def read_cvat(root: Path, options: Options) -> Source:
    """Read CVAT's annotations.xml: polygons, boxes, ellipses and masks."""
    folder, files = label_files(root, "*.xml")
    finder = ImageFinder(folder)
    frames, classes = [], []
    for file in files:
        tree = _parse_xml(file)
        if tree.find("track") is not None:
            raise InputError(
                f'{file}: holds tracks of a video, which name no images: export it as "CVAT for images 1.1"'
            )
        classes += [name.text or "" for name in tree.iterfind(".//meta//labels/label/name")]
        for entry in tree.iterfind("image"):
            subset = entry.get("subset", "")  # CVAT exports the images of a subset in a folder of its name
            image = finder.find(f"{subset}/{entry.attrib['name']}" if subset else entry.attrib["name"], file)
            if image is None:
                raise InputError(no_image(file, entry.attrib["name"], finder))
            regions = [
                (
                    shape.attrib["label"],
                    f"{entry.attrib['name']}, {shape.tag} {number}",
                    _cvat_region(shape, options),
                )
                for number, shape in enumerate((s for s in entry if s.tag != "tag"), start=1)
            ]
            size = (int(entry.attrib["height"]), int(entry.attrib["width"]))
            part = part_named(subset) or part_of(image, folder)
            frames.append(SourceFrame(image, file, partial(draw_regions, file, regions), size, part))
    return source_of(frames, finder, root, "CVAT's annotations.xml with <image> entries", classes)


def _parse_xml(file: Path) -> ET.Element:
    content = file.read_bytes()
    if b"<!ENTITY" in content:
        raise InputError(f"{file}: defines entities, which no labelling tool writes: refused")
    try:
        return ET.fromstring(content)  # noqa: S314 (entities are refused above)
    except ET.ParseError as error:
        raise InputError(f"{file}: not XML ({error}): is it cut off?") from None


def _cvat_region(shape: ET.Element, options: Options) -> Region:
    given = shape.attrib
    if shape.tag == "polygon":
        points = [[float(value) for value in point.split(",")] for point in given["points"].split(";")]
        return outline(points, clip=options.clip)
    if shape.tag == "box":
        corners = rectangle(*(float(given[key]) for key in ("xtl", "ytl", "xbr", "ybr")))
        return outline(rotated(corners, float(given.get("rotation", 0.0))), clip=options.clip)
    if shape.tag == "ellipse":
        x, y, rx, ry = (float(given[key]) for key in ("cx", "cy", "rx", "ry"))
        return outline(ellipse(x, y, rx, ry, float(given.get("rotation", 0.0))), clip=options.clip)
    if shape.tag == "mask":
        left, top, width, height = (int(float(given[key])) for key in ("left", "top", "width", "height"))
        counts = [int(count) for count in given["rle"].split(",")]
        if sum(counts) != height * width:
            return refusal(f"run lengths add up to {sum(counts)}, not to {height}×{width}")
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
        return pasted(runs, left, top)
    return refusal(f"a {shape.tag} {NO_AREA}")
