"""Turns the regions of drawing tools into masks."""

import base64
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inspector.errors import InputError
from inspector.images import ImageFault, decode_mono
from trainer.data.coco_masks import MaskFault, OutsideFault
from trainer.data.faults import Complain, Fault
from trainer.data.importing.outlines import Points, fill
from trainer.data.importing.source import ImageFinder, Mark, Size, Source, SourceFrame, part_of

Region = Callable[[Size], NDArray[np.bool_]]
"""Draws one region; raises MaskFault."""

OUTSIDE: Final = "outline outside the frame"
"""Kind of the fault that clipping settles."""
NO_AREA: Final = "has no area: draw an outline around it"
"""The fault of a line or a point."""


def draw_regions(
    file: Path, regions: Sequence[tuple[str, str, Region]], size: Size, complain: Complain
) -> list[Mark]:
    """Draw regions (class, place, drawing) and return their marks; faulty ones go to `complain`."""
    marks = []
    for label, where, region in regions:
        try:
            marks.append(Mark(label, region(size), where, has_seam=True))
        except (MaskFault, ValueError, TypeError, IndexError, KeyError) as error:
            complain(mask_fault(file, error, where))
    return marks


def mask_fault(file: Path, error: Exception, where: str) -> Fault:
    """Return the fault of a region that cannot be drawn."""
    text = str(error) if isinstance(error, MaskFault) else f"cannot be drawn ({error!r})"
    return Fault(OUTSIDE if isinstance(error, OutsideFault) else "bad mask", file, text, where=where)


def outline(points: Points, *, clip: bool, holes: Sequence[Points] = ()) -> Region:
    """Return the drawing of a polygon's inside."""
    return lambda size: fill(points, size, clip=clip, holes=holes)


def refusal(text: str) -> Region:
    """Return a drawing that only raises this fault."""

    def refuse(_: Size) -> NDArray[np.bool_]:
        raise MaskFault(text)

    return refuse


def pasted(mask: NDArray[np.bool_], left: int, top: int) -> Region:
    """Place a small mask in the frame; raises MaskFault if it does not fit."""

    def paste(size: Size) -> NDArray[np.bool_]:
        whole = np.zeros(size, np.bool_)
        inside = whole[top : top + mask.shape[0], left : left + mask.shape[1]]
        if top < 0 or left < 0 or inside.shape != mask.shape:
            raise MaskFault(f"its bitmap of {mask.shape[0]}×{mask.shape[1]} px at {left}, {top} leaves the frame")
        inside |= mask
        return whole

    return paste


def bitmap(data: str, *, packed: bool) -> NDArray[np.bool_]:
    """Return a base64 PNG's mask, bool [H, W]; zlib may have `packed` it. Raises MaskFault.

    The mask is what is not transparent if the PNG has transparency, as Supervisely decodes it, else what is not 0.
    """
    try:
        content = base64.b64decode(data)
        content = zlib.decompress(content) if packed else content
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            if image.has_transparency_data:
                return np.array(image.convert("RGBA").getchannel("A")) > 0
        return decode_mono(content) > 0
    except (SyntaxError, ValueError, OSError, zlib.error, ImageFault) as error:
        raise MaskFault(f"its bitmap cannot be decoded: {error}") from None


def no_image(file: Path, name: str, finder: ImageFinder) -> str:
    """Return the message for a label file whose image is missing."""
    return (
        f"{file}: its image {name!r} is missing; the folder holds {finder.example()}: copy the images beside "
        "the labels, under the names that the labels have"
    )


def source_of(
    frames: list[SourceFrame], finder: ImageFinder, root: Path, expected: str, classes: Sequence[str] = ()
) -> Source:
    """Return the source, including images that no label names; raises InputError without any labels."""
    if not frames:
        raise InputError(f"{root}: no labels here: looked for {expected}; the folder holds {finder.example()}")
    used = {frame.image for frame in frames}
    rest = [SourceFrame(path, path, None, None, part_of(path, finder.root)) for path in finder.others(used)]
    return Source([*frames, *rest], classes, are_classes_listed=bool(classes), folder=finder.root)
