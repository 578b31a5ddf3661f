"""Real frames changed as another coil, camera or lamp would change them, and defects put onto sound ones."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.sources.simulator.defects import DEFECTS
from inspector.sources.simulator.noise import FloatMap, blurred
from inspector.values import Pixels

STEEL_LEVEL: Final = 16
"""Grey above which a pixel, smoothed, is steel and not the dark beside the strip."""
ZOOM: Final = (0.8, 1.25)
"""How much nearer or farther another camera may be, each axis for itself."""
LIGHTING: Final = 0.2
"""Standard deviation of ln(gain) of a lamp's smooth fall-off."""
SHARPNESS_PX: Final = 0.8
"""Largest sigma of a lens out of focus."""
SHAPED_KINDS: Final = (3, 4)
"""Kinds drawn large enough that a real mask can cut them out; pits and cracks keep their own outline."""
MIN_BOX_PX: Final = (24, 16)
"""Smallest rows and columns in which every kind can be drawn."""
FEATHER_PX: Final = 1.5
LEAST_CHANGE: Final = 12
"""Grey levels by which the strongest twentieth of a defect must differ from the steel before it."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A frame and its label, uint8 [H, W] each."""

    pixels: Pixels
    label: Pixels


@dataclass(frozen=True, slots=True)
class Cut:
    """A real defect as a stencil: how much brighter than the steel around it every pixel is."""

    kind: int
    ratio: FloatMap
    mask: NDArray[np.bool_]


def varied(random: np.random.Generator, frame: Labelled) -> Labelled:
    """The same steel mirrored, nearer or farther, in other light and focus."""
    pixels, label = frame.pixels, frame.label
    height, width = pixels.shape
    for axis in (0, 1):
        if random.random() < 0.5:
            pixels, label = np.flip(pixels, axis), np.flip(label, axis)
    zoom_x, zoom_y = np.exp(random.uniform(*np.log(ZOOM), 2))  # type: ignore[call-overload]
    shift_x, shift_y = random.uniform(0, 1, 2) * (width * (1 - zoom_x), height * (1 - zoom_y))
    matrix = np.array([[zoom_x, 0.0, shift_x], [0.0, zoom_y, shift_y]])
    pixels = cv2.warpAffine(  # type: ignore[assignment]
        np.ascontiguousarray(pixels), matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101
    )
    label = cv2.warpAffine(  # type: ignore[assignment]
        np.ascontiguousarray(label), matrix, (width, height), flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    grey = pixels.astype(np.float32) * _lamp(random, height, width)
    if random.random() < 0.3:
        grey = blurred(grey, float(random.uniform(0.3, SHARPNESS_PX)))
    return Labelled(_as_pixels(grey), np.asarray(label, np.uint8))


def _lamp(random: np.random.Generator, height: int, width: int) -> FloatMap:
    """A smooth gain, [H, W], from a few random values enlarged."""
    coarse = np.exp(random.normal(0, LIGHTING, (2, 5))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(
        0.3, 2.5
    )


def _as_pixels(grey: FloatMap) -> Pixels:
    return np.asarray(cv2.convertScaleAbs(np.maximum(grey, 0.0)), np.uint8)


def cut_out(frame: Labelled) -> list[Cut]:
    """Every labelled component of a frame as a stencil."""
    cuts = []
    steel = (frame.label == 0).astype(np.float32)
    for kind in np.unique(frame.label[frame.label > 0]).tolist():
        count, parts, stats, _ = cv2.connectedComponentsWithStats((frame.label == kind).astype(np.uint8))
        for part in range(1, count):
            left, top, columns, rows = (int(value) for value in stats[part, :4])
            if rows < MIN_BOX_PX[0] // 2 or columns < MIN_BOX_PX[1] // 2:
                continue
            reach_px = max(8.0, 0.3 * min(rows, columns))
            around = blurred(frame.pixels.astype(np.float32) * steel, reach_px) / (blurred(steel, reach_px) + 1e-3)
            window = np.s_[top : top + rows, left : left + columns]
            ratio = (frame.pixels[window] + 1.0) / (around[window] + 1.0)
            cuts.append(Cut(kind, ratio.astype(np.float32).clip(0.05, 4.0), parts[window] == part))
    return cuts


class Canvas:
    """A frame that accepts defects on its sound steel."""

    def __init__(self, frame: Labelled) -> None:
        self._grey: FloatMap = frame.pixels.astype(np.float32)
        self._label = frame.label.copy()
        self._steel = blurred(self._grey, 4.0) > STEEL_LEVEL

    def done(self) -> Labelled:
        """The frame with all that was put onto it."""
        return Labelled(_as_pixels(self._grey), self._label)

    def draw(self, random: np.random.Generator, kind: int, mask: NDArray[np.bool_]) -> None:
        """A simulated defect in the place and, where large, the outline of a real `mask` [H, W]."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        size = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
        if size[0] < MIN_BOX_PX[0] or size[1] < MIN_BOX_PX[1]:
            return
        patch = DEFECTS[kind](random, *size)
        window = np.s_[top : top + size[0], left : left + size[1]]
        shape = mask[window] if kind in SHAPED_KINDS else patch.label > 0
        self._put(kind, window, shape, self._grey[window] * patch.gain + patch.light)

    def transplant(self, random: np.random.Generator, cut: Cut) -> None:
        """A real defect somewhere else."""
        mask, ratio = cut.mask, cut.ratio
        for axis in (0, 1):
            if random.random() < 0.5:
                mask, ratio = np.flip(mask, axis), np.flip(ratio, axis)
        height, width = self._label.shape
        top = int(random.integers(height - mask.shape[0] + 1))
        left = int(random.integers(width - mask.shape[1] + 1))
        window = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
        self._put(cut.kind, window, mask, blurred(self._grey[window], 6.0) * ratio)

    def _put(
        self, kind: int, window: tuple[slice, slice], shape: NDArray[np.bool_], changed: NDArray[np.floating]
    ) -> None:
        """Blend `changed` in within `shape`; nothing where it leaves the steel, meets a label or hardly shows."""
        if not shape.any() or not self._steel[window][shape].all() or self._label[window][shape].any():
            return
        before = self._grey[window]
        if np.quantile(np.abs(changed - before)[shape], 0.95) < LEAST_CHANGE:
            return
        weight = blurred(np.pad(shape, 4).astype(np.float32), FEATHER_PX)[4:-4, 4:-4]
        self._grey[window] = before + weight * (changed - before)
        self._label[window][shape] = kind
