"""The simulated strip: surface, harmless marks and defects of each coil, cut into frames."""

from collections.abc import Iterator
from itertools import count
from typing import Final

import cv2
import numpy as np

from inspector.sources.simulator.coil import CoilPlan, marks_for
from inspector.sources.simulator.mark import Mark, Patch
from inspector.sources.simulator.noise import FloatMap
from inspector.sources.simulator.settings import SimulatedFrame, StripSettings
from inspector.sources.simulator.surface import BLACK, CoilSurface, Textures
from inspector.values import Pixels

STEEL_SHARE: Final = 0.3
"""Brightness of a column of steel, as a share of the bright columns of its frame. Darker ones lie beside it."""


class _Layer:
    """The marks of a coil. A mark is drawn when a frame shows it, and kept while the next frames do."""

    def __init__(self, marks: tuple[Mark, ...]) -> None:
        self._marks = marks
        self._drawn: dict[Mark, Patch] = {}

    def onto(self, steel: FloatMap, label: Pixels, first_row: int) -> None:
        """Change `steel` and `label` [H, W] in place; their first row is row `first_row` of the coil."""
        end_row = first_row + len(steel)
        here = [mark for mark in self._marks if mark.top < end_row and mark.bottom > first_row]
        self._drawn = {mark: self._drawn.get(mark) or mark.patch() for mark in here}
        for mark, patch in self._drawn.items():
            _blend(steel, label, mark, patch, first_row)


def _blend(steel: FloatMap, label: Pixels, mark: Mark, patch: Patch, first_row: int) -> None:
    height, width = steel.shape
    top, bottom = max(mark.top, first_row), min(mark.bottom, first_row + height)
    left, right = max(mark.left, 0), min(mark.left + mark.columns, width)
    if top >= bottom or left >= right:
        return
    here = np.s_[top - first_row : bottom - first_row, left:right]
    there = np.s_[top - mark.top : bottom - mark.top, left - mark.left : right - mark.left]
    steel[here] *= patch.gain[there]
    steel[here] += patch.light[there]
    np.copyto(label[here], patch.label[there], where=patch.label[there] > 0)


class SimulatedCoil:
    """One coil; its frames may be taken in any order."""

    def __init__(
        self, settings: StripSettings, textures: Textures, coil: int, first_row: int | None = None
    ) -> None:
        """`first_row` is the coil's first row on the strip; None follows coils of equal length."""
        self._settings, self._coil = settings, coil
        self._surface = CoilSurface(settings, textures, coil)
        plan = CoilPlan(
            settings, self._surface, coil, coil * self._surface.rows if first_row is None else first_row
        )
        self._blemishes, self._defects = _Layer(plan.blemishes), _Layer(plan.defects)

    def frame(self, index: int) -> SimulatedFrame:
        """The frame `index` of the coil."""
        settings, surface = self._settings, self._surface
        first_row = index * settings.height
        steel = surface.frame(index)
        label = np.zeros(steel.shape, np.uint8)
        self._blemishes.onto(steel, label, first_row)
        self._defects.onto(steel, label, first_row)
        presence = surface.presence(np.arange(first_row, first_row + settings.height))
        if presence is not None:
            steel *= presence
            label[presence < 0.5] = 0
        pixels = np.asarray(cv2.convertScaleAbs(steel, beta=BLACK), np.uint8)
        return SimulatedFrame(pixels, label, f"S{settings.seed}-{self._coil + 1:04d}")


def drawn_on(pixels: Pixels, settings: StripSettings, seed: int, *, defective: bool) -> SimulatedFrame:
    """A frame of real steel, uint8 [H, W], with simulated harmless marks and, if `defective`, simulated defects.

    `settings` has the frame's size. Marks lie on steel, not on the dark beside the strip. A small frame may have
    no room for the defect that was drawn, and stays sound.
    """
    left, right = _steel_columns(pixels)
    label = np.zeros(pixels.shape, np.uint8)
    steel = pixels.astype(np.float32) - np.float32(BLACK)
    blemishes, defects = marks_for(settings, seed, left, right)
    for mark in [*blemishes, *(defects if defective else [])]:
        _blend(steel, label, mark, mark.patch(), 0)
    drawn = np.asarray(cv2.convertScaleAbs(np.maximum(steel, -BLACK), beta=BLACK), np.uint8)
    return SimulatedFrame(drawn, label, f"S{settings.seed}-{seed}")


def _steel_columns(pixels: Pixels) -> tuple[int, int]:
    """First and one past the last column that shows steel."""
    brightness = np.median(pixels, axis=0)
    shown = np.flatnonzero(brightness > STEEL_SHARE * float(np.percentile(brightness, 75)))
    return (int(shown[0]), int(shown[-1]) + 1) if len(shown) else (0, pixels.shape[1])


def strip(settings: StripSettings) -> Iterator[SimulatedFrame]:
    """Yield frames of an endless strip, in order. Equal settings give equal bytes.

    A frame costs about a few dozen passes over its pixels; the first frame also creates the textures that all
    coils share.
    """
    textures = Textures(settings)
    for number in count():
        coil = SimulatedCoil(settings, textures, number)
        yield from (coil.frame(index) for index in range(settings.coil_frames))
