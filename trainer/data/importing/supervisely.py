"""Reads Supervisely: img/ and ann/ in each data set, meta.json above them."""

from functools import partial
from pathlib import Path
from typing import Any

from inspector.errors import InputError
from trainer.data.importing.outlines import rectangle
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


def read_supervisely(root: Path, options: Options) -> Source:
    """Read a Supervisely project: polygons with holes, bitmaps and rectangles."""
    finder = ImageFinder(root)
    frames = []
    meta = root / "meta.json"
    classes = [one["title"] for one in read_json(meta)["classes"]] if meta.is_file() else []
    for file in files_below(root, "ann/*.json"):
        content = read_json(file)
        image = finder.find(file.stem, file.parent.parent / "img" / file.name)
        if image is None:
            raise InputError(no_image(file, file.stem, finder))
        with written_by("supervisely", file):
            size = (int(content["size"]["height"]), int(content["size"]["width"]))
            regions = [
                (one["classTitle"], f"object {number} ({one['classTitle']})", _supervisely_region(one, options))
                for number, one in enumerate(content["objects"], start=1)
            ]
        frames.append(SourceFrame(image, file, partial(draw_regions, file, regions), size, part_of(file, root)))
    return source_of(frames, finder, root, "Supervisely's ann/*.json", classes)


def _supervisely_region(one: dict[str, Any], options: Options) -> Region:
    kind = one["geometryType"]
    if kind == "bitmap":
        left, top = one["bitmap"]["origin"]
        return pasted(bitmap(one["bitmap"]["data"], packed=True), left, top)
    if kind == "polygon":
        return outline(one["points"]["exterior"], clip=options.clip, holes=one["points"]["interior"])
    if kind == "rectangle":
        (left, top), (right, bottom) = one["points"]["exterior"]
        return outline(rectangle(left, top, right, bottom), clip=options.clip)
    return refusal(f"a {kind} {NO_AREA}")
