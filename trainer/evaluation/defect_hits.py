"""Compares labelled and predicted defects one by one: hits by size, and accuracy of boxes."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np

from inspector.values import Pixels
from trainer.evaluation.intervals import counted

AREA_CLASSES_PX: Final = (1, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
"""Smallest area of each size class: two classes per decade. The last one is open."""
GOOD_BOX_IOU: Final = 0.5
"""IoU from which two boxes count as the same, as in Pascal VOC."""

Box = tuple[int, int, int, int]


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    along = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or along <= 0:
        return 0.0
    overlap = across * along
    return overlap / (one[2] * one[3] + other[2] * other[3] - overlap)


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region (8 neighbours) of one kind."""

    kind: int
    box: Box
    area_px: int
    touched: bool
    """Whether any of its pixels is a defect of any kind in the other mask."""


def regions(mask: Pixels, other: Pixels) -> list[Region]:
    """Every region of `mask`, compared with `other`; both uint8 [H, W], 0 normal."""
    x0, y0, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    window = (slice(y0, y0 + height), slice(x0, x0 + width))
    inside, defect = mask[window], other[window] > 0
    found = []
    for kind in np.unique(inside[inside > 0]):
        one_kind = (inside == kind).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(one_kind, connectivity=8)
        touched = np.bincount(labels[defect], minlength=count) > 0
        for label in range(1, count):
            x, y, w, h, area = (int(value) for value in stats[label])
            found.append(Region(int(kind), (x + x0, y + y0, w, h), area, bool(touched[label])))
    return found


def match_boxes(labelled: list[Region], found: list[Region]) -> list[tuple[Region, Region, float]]:
    """Pairs of overlapping boxes of one kind with their IoU: best overlap first, each region at most once."""
    pairs = [
        (overlap, i, j)
        for i, one in enumerate(labelled)
        for j, other in enumerate(found)
        if one.kind == other.kind and (overlap := box_iou(one.box, other.box)) > 0.0
    ]
    taken: tuple[set[int], set[int]] = set(), set()
    matched = []
    for overlap, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            matched.append((labelled[i], found[j], overlap))
    return matched


@dataclass(slots=True)
class DefectHits:
    """Sums over labelled defects: connected regions of one kind in the label."""

    hits: list[int] = field(default_factory=lambda: [0] * len(AREA_CLASSES_PX))
    """By size class: defects with at least one pixel predicted as a defect of any kind."""
    defects: list[int] = field(default_factory=lambda: [0] * len(AREA_CLASSES_PX))
    invented: int = 0
    """Predicted defects that touch no labelled one."""
    found: int = 0
    distances_px: list[float] = field(default_factory=list)
    """Distances between the centres of matched boxes."""
    ious: list[float] = field(default_factory=list)

    def add(self, label: Pixels, mask: Pixels) -> None:
        """Count one frame: label and predicted class mask, uint8 [H, W]."""
        labelled, found = regions(label, mask), regions(mask, label)
        for defect in labelled:
            size = int(np.searchsorted(AREA_CLASSES_PX, defect.area_px, side="right")) - 1
            self.defects[size] += 1
            self.hits[size] += defect.touched
        self.found += len(found)
        self.invented += sum(not defect.touched for defect in found)
        for one, other, overlap in match_boxes(labelled, found):
            self.ious.append(overlap)
            self.distances_px.append(math.dist(box_centre(one.box), box_centre(other.box)))

    def figures(self) -> dict[str, Any]:
        """Hits by size and the error of boxes, as JSON values; a share or quantile of nothing is None."""
        ends: list[int | None] = [*AREA_CLASSES_PX[1:], None]
        sizes = [
            {"from_px": start, "below_px": end, **counted(hits, defects)}
            for start, end, hits, defects in zip(AREA_CLASSES_PX, ends, self.hits, self.defects, strict=True)
            if defects
        ]
        return {
            "defects": counted(sum(self.hits), sum(self.defects)),
            "defects_by_size": sizes,
            "invented_defects": counted(self.invented, self.found),
            "boxes": {
                "matched": len(self.ious),
                "centre_distance_px": _quantiles(self.distances_px),
                "iou": _quantiles(self.ious),
                "good_box": counted(sum(iou >= GOOD_BOX_IOU for iou in self.ious), len(self.ious)),
                "good_box_iou": GOOD_BOX_IOU,
            },
        }


def box_centre(box: Box) -> tuple[float, float]:
    """Centre of a box, (x, y) in px."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _quantiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, p90, p10 = (float(np.quantile(values, q)) for q in (0.5, 0.9, 0.1))
    return {"mean": float(np.mean(values)), "p10": p10, "median": median, "p90": p90}
