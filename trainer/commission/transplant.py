"""Defects cut from another plant's labelled frames, to be put on this plant's steel."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.sources.simulator.mark import GAIN_RANGE
from inspector.values import Pixels
from trainer.data.formats import open_dataset

MARGIN_PX: Final = 8
"""Steel around a cut defect, over which it fades in."""
LEAST_PX: Final = 64
"""Smallest area of a defect that is worth cutting out."""
MOST_CUT: Final = 2000
"""Most defects that are kept in memory."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """One defect: how it changes the steel under it, and its label."""

    name: str
    """Its class."""
    gain: np.ndarray
    """float32 [h, w]: its grey levels ÷ those of the steel around it; 1 at the border."""
    label: Pixels
    """uint8 [h, w]: 1 on the defect."""

    def onto(self, pixels: Pixels, label: Pixels, kind: int, random: np.random.Generator) -> None:
        """Put it on a frame and its label, in place, mirrored at random, anywhere it fits."""
        gain, own = self.gain, self.label
        for axis in (0, 1):
            if random.random() < 0.5:
                gain, own = np.flip(gain, axis), np.flip(own, axis)
        height, width = (min(side, of) for side, of in zip(own.shape, pixels.shape, strict=True))
        top = int(random.integers(pixels.shape[0] - height + 1))
        left = int(random.integers(pixels.shape[1] - width + 1))
        here = np.s_[top : top + height, left : left + width]
        changed = pixels[here].astype(np.float32) * gain[:height, :width]
        pixels[here] = np.clip(changed.round(), 0, 255).astype(np.uint8)
        np.copyto(label[here], np.uint8(kind), where=own[:height, :width] > 0)


def cut_defects(root: Path) -> list[Cutting]:
    """Every labelled defect of a data set, cut out with some steel around it; raises InputError."""
    dataset = open_dataset(root)
    cuttings: list[Cutting] = []
    for name in dataset.names:
        frame = dataset.frame(name)
        label = dataset.label(name, (frame.shape[0], frame.shape[1]))
        for kind in np.unique(label[label > 0]).tolist():
            mask = (label == kind).astype(np.uint8)
            count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            cuttings += [
                _cut(dataset.classes[kind], frame, numbers == number, label, stats[number])
                for number in range(1, count)
                if stats[number, cv2.CC_STAT_AREA] >= LEAST_PX
            ]
        if len(cuttings) >= MOST_CUT:
            break
    return cuttings


def _cut(name: str, frame: Pixels, defect: np.ndarray, label: Pixels, box: np.ndarray) -> Cutting:
    left, top, width, height = (int(value) for value in box[:4])
    rows = slice(max(0, top - MARGIN_PX), top + height + MARGIN_PX)
    columns = slice(max(0, left - MARGIN_PX), left + width + MARGIN_PX)
    inside = np.ascontiguousarray(defect[rows, columns]).astype(np.uint8)
    pixels = frame[rows, columns].astype(np.float32)
    around = pixels[label[rows, columns] == 0]
    level = max(1.0, float(np.median(around)) if around.size else float(np.median(pixels)))
    fade = cv2.blur(cv2.dilate(inside, np.ones((5, 5), np.uint8)).astype(np.float32), (5, 5))
    gain = 1.0 + fade * (np.clip(pixels / level, *GAIN_RANGE) - 1.0)
    return Cutting(name, gain.astype(np.float32), inside)
