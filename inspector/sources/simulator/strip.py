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
    """The marks of a coil in order, each drawn when its first row is reached and dropped after its last."""

    def __init__(self, marks: tuple[Mark, ...]) -> None:
        self._coming = list(reversed(marks))
        self._here: list[tuple[Mark, Patch]] = []

    def onto(self, steel: FloatMap, label: Pixels, first_row: int) -> None:
        """Change `steel` and `label` [H, W] in place; their first row is row `first_row` of the coil."""
        end_row = first_row + len(steel)
        while self._coming and self._coming[-1].top < end_row:
            mark = self._coming.pop()
            self._here.append((mark, mark.patch()))
        for mark, patch in self._here:
            _blend(steel, label, mark, patch, first_row)
        self._here = [(mark, patch) for mark, patch in self._here if mark.bottom > end_row]


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


def _coil_frames(settings: StripSettings, textures: Textures, coil: int) -> Iterator[SimulatedFrame]:
    surface = CoilSurface(settings, textures, coil)
    plan = CoilPlan(settings, surface, coil)
    blemishes, defects = _Layer(plan.blemishes), _Layer(plan.defects)
    for index in range(settings.coil_frames):
        first_row = index * settings.height
        steel = surface.frame(index)
        label = np.zeros(steel.shape, np.uint8)
        blemishes.onto(steel, label, first_row)
        defects.onto(steel, label, first_row)
        presence = surface.presence(np.arange(first_row, first_row + settings.height))
        if presence is not None:
            steel *= presence
            label[presence < 0.5] = 0
        pixels = np.asarray(cv2.convertScaleAbs(steel, beta=BLACK), np.uint8)
        yield SimulatedFrame(pixels, label, f"S{settings.seed}-{coil + 1:04d}")


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
    for coil in count():
        yield from _coil_frames(settings, textures, coil)
