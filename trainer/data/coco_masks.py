"""Decodes a COCO segmentation into a mask: polygons, or run lengths as a list or packed into a string."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InspectorError
from inspector.extras import needs_extra
from trainer.artifacts.extras import EXTRAS

POLYGON_SLACK_PX: Final = 1.0
"""How far a corner may lie outside the frame: tools count the far edge as 0..W or 0..W − 1, and round."""
_LEAST_NUMBERS: Final = 6
"""Smallest length of a polygon's list: x, y of three corners."""

_FIRST_LETTER: Final = 48
_MORE: Final = 0x20
_NEGATIVE: Final = 0x10
_PLAIN_RUNS: Final = 2
"""Constants of the packed form, see `_unpack`: offset of the letters, bit that announces another group, sign bit,
and index of the last run stored as it is."""


class MaskFault(InspectorError):  # noqa: N818 (it becomes a Fault, with file and annotation)
    """A segmentation that cannot be decoded; the text gives the reason, without file and annotation."""


class OutsideFault(MaskFault):
    """An outline that leaves the frame: cutting it at the edge would settle it."""


def decode_segmentation(segmentation: Any, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], bool]:
    """(mask bool `shape` = [H, W], whether it comes from polygons); raises MaskFault."""
    if isinstance(segmentation, list) and segmentation:
        return _decode_polygons(segmentation, shape), True
    if isinstance(segmentation, dict):
        return _decode_runs(segmentation, shape), False
    raise MaskFault("has no polygon and no run lengths: a box alone is not a mask")


def _decode_polygons(polygons: list[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = shape
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < _LEAST_NUMBERS or len(polygon) % 2:
            raise MaskFault("a polygon must be a list of x, y pairs, three or more")
        try:
            corners = np.array(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            raise MaskFault("a polygon must hold numbers only") from None
        outside = (corners < -POLYGON_SLACK_PX) | (corners > np.array([width, height]) + POLYGON_SLACK_PX)
        if not np.isfinite(corners).all() or outside.any():
            x, y = corners[(outside | ~np.isfinite(corners)).any(axis=1)][0].tolist()
            raise OutsideFault(f"corner {x:g}, {y:g} lies outside the frame's {height}×{width} pixels")
    coco = _coco()
    merged = coco.merge(coco.frPyObjects(polygons, height, width))
    return _fill(_unpack(merged["counts"].decode()), shape)


def _decode_runs(segmentation: dict[str, Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = shape
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise MaskFault(f"mask is of size {size} but the frame is {height}×{width} px")
    if isinstance(counts, str):
        counts = _unpack(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise MaskFault("run lengths must be whole numbers from 0, as a list or packed into a string")
    if sum(counts) != height * width:
        raise MaskFault(f"run lengths add up to {sum(counts)} but the frame has {height}×{width} pixels")
    return _fill(counts, shape)


def _fill(counts: list[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask from run lengths of background and defect in turn, down the columns."""
    inside = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, counts).reshape(shape[::-1]).T)


def _unpack(text: str) -> list[int]:
    """Run lengths of COCO's string: groups of 5 bits plus 48, from the fourth run on as differences.

    Follows rleFrString of pycocotools. Its own decode warns under NumPy 2 and does not check the string.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - _FIRST_LETTER
        if not 0 <= bits < 2 * _MORE:
            raise MaskFault(f"packed run lengths hold {letter!r}, which no tool writes")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _NEGATIVE:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > _PLAIN_RUNS else value)
        value = shift = 0
    if shift:
        raise MaskFault("packed run lengths break off")
    return counts


def _coco() -> Any:
    """Import the mask module of pycocotools on first use: only data in COCO's layout needs it."""
    with needs_extra("a COCO mask", EXTRAS):
        from pycocotools import mask
    return mask
