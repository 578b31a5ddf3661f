"""Draws the masks of a frame into one label map; pixels claimed by two classes are a fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels
from trainer.data.faults import Complain, Fault


@dataclass(frozen=True, slots=True)
class DrawnMask:
    """One mask of a frame and its place in the file."""

    kind: int
    pixels: NDArray[np.bool_]
    """bool [H, W]."""
    row: int | str
    where: str
    has_seam: bool = False
    """Drawn from a polygon: its outermost pixels belong to the neighbouring polygon as well."""


def draw(masks: Sequence[DrawnMask], shape: tuple[int, int], file: Path, frame: str, complain: Complain) -> Pixels:
    """Label map uint8 `shape`. Masks of one class may overlap, masks of two classes may not.

    The exception is a seam: two polygons that share an edge both cover the pixels under it. If their overlap is
    nowhere more than 2 px thick, it goes to the smaller mask. The smaller mask also wins if `complain` returns.
    """
    label = np.zeros(shape, np.uint8)
    place = {id(mask): index for index, mask in enumerate(masks)}
    largest_first = sorted(masks, key=lambda mask: int(mask.pixels.sum()), reverse=True)
    for above, mask in enumerate(largest_first):
        if label[mask.pixels].any():
            for below in largest_first[:above]:
                if below.kind != mask.kind:
                    first, second = sorted((mask, below), key=lambda each: place[id(each)])
                    _check(first, second, file, frame, complain)
        label[mask.pixels] = mask.kind
    return label


def _check(early: DrawnMask, late: DrawnMask, file: Path, frame: str, complain: Complain) -> None:
    shared = early.pixels & late.pixels
    if not shared.any() or (early.has_seam and late.has_seam and _is_thin(shared)):
        return
    text = f"overlaps {early.where} in {int(shared.sum())} px: a pixel has one class, cut one of the masks back"
    complain(Fault("overlapping classes", file, text, late.row, late.where, frame))


def _is_thin(shared: NDArray[np.bool_]) -> bool:
    """Whether no 3×3 square fits into the region."""
    core = cv2.erode(
        shared.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return not core.any()
