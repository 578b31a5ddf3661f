"""Lays the masks of a frame into one label map, and refuses pixels that two classes claim."""

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
    """One mask of a frame and where it is written."""

    kind: int
    pixels: NDArray[np.bool_]
    """bool [H, W]."""
    row: int
    where: str
    has_seam: bool = False
    """Drawn from a polygon: its outermost pixels belong to the neighbour as much as to it."""


def draw(masks: Sequence[DrawnMask], shape: tuple[int, int], file: Path, frame: str, complain: Complain) -> Pixels:
    """Label map uint8 `shape`; masks of one class may overlap, those of two may not.

    The exception is a seam: two polygons that share an edge both own the pixels under it. An overlap of polygons
    nowhere more than 2 px thick goes to the smaller mask. Where `complain` returns, the smaller lies on top, too.
    """
    label = np.zeros(shape, np.uint8)
    largest_first = sorted(masks, key=lambda mask: int(mask.pixels.sum()), reverse=True)
    for above, mask in enumerate(largest_first):
        if label[mask.pixels].any():
            for below in largest_first[:above]:
                if below.kind != mask.kind:
                    _check(mask, below, file, frame, complain)
        label[mask.pixels] = mask.kind
    return label


def _check(mask: DrawnMask, below: DrawnMask, file: Path, frame: str, complain: Complain) -> None:
    shared = mask.pixels & below.pixels
    if not shared.any() or (mask.has_seam and below.has_seam and _is_thin(shared)):
        return
    late, early = (mask, below) if mask.row > below.row else (below, mask)
    text = f"overlaps {early.where} in {int(shared.sum())} px: a pixel has one class, cut one of the masks back"
    complain(Fault("overlapping classes", file, text, late.row, late.where, frame))


def _is_thin(shared: NDArray[np.bool_]) -> bool:
    """Whether no 3×3 square fits into it."""
    core = cv2.erode(
        shared.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return not core.any()
