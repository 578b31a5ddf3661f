"""The four kinds of defect, drawn to fill a given box, each with the loose label that an annotator would draw.

Contrasts follow 36 real defective frames: relative to the steel around it, the darkest tenth of a defect's pixels
lies at 0.5 to 0.9, the brightest tenth at 1.1 to 2.1. A careful eye finds every defect.
"""

from typing import Final

import cv2
import numpy as np

from inspector.sources.simulator.mark import Draw, Patch, defect_patch
from inspector.sources.simulator.noise import (
    FloatMap,
    blurred,
    loose_outline,
    noise,
    ragged_depth,
    smoothstep,
)
from inspector.sources.simulator.scratches import SCRATCHES, scratches

PITS, CRACKS, PATCHES = 1, 2, 4

SUB_PX: Final = 4
"""Fractional bits of line coordinates."""
BARE_SHARE: Final = 0.2
"""Share of patches with shiny bare metal; by eye, from 7 real frames."""


def _line(canvas: FloatMap, x: FloatMap, y: FloatMap, width_px: float) -> None:
    """Draw an open, smooth-edged line of value 1 and about `width_px` into `canvas`."""
    points = np.stack([x, y], 1) * (1 << SUB_PX)
    ink = np.zeros(canvas.shape, np.uint8)
    thickness = max(1, round(width_px))
    cv2.polylines(
        ink, [points.round().astype(np.int32)], isClosed=False, color=255, thickness=thickness,
        lineType=cv2.LINE_AA, shift=SUB_PX,
    )  # fmt: skip
    strength = np.float32(min(1.0, width_px) / 255.0)
    np.maximum(canvas, ink * strength, out=canvas)


def pits(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a pit or a chain of pits: dark holes elongated along the travel, each with a bright lip."""
    margin_px = 5 if min(rows, columns) < 30 else 7
    dark, lips = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    room = np.array([max(1.0, columns / 2 - margin_px - 4), max(1.0, rows / 2 - margin_px - 6)])
    count = 1 + int(rng.poisson(rows * columns / 900))
    places = rng.uniform(-1, 1, (count, 2)) * room
    if count > 1:  # the group spans its box from end to end
        places[0, 1], places[1, 1] = -room[1], room[1]
    else:
        places *= 0.3
    for x, y in places + np.array([columns, rows]) / 2:
        wide = float(rng.uniform(2.1, 3.7))
        high = wide * float(rng.uniform(1.1, 3.2))
        tilt = float(rng.normal(0, 12))
        centre = (int(x * 16), int(y * 16))
        axes = (int(wide * 16), int(high * 16))
        cv2.ellipse(dark, centre, axes, tilt, 0, 360, 1.0, -1, cv2.LINE_8, 4)
        offset = float(rng.choice([-1.0, 1.0])) * high * 0.8
        lip = (int((x + rng.normal(0, 1)) * 16), int((y + offset) * 16))
        lip_axes = (int(wide * 12), int(high * rng.uniform(5, 10)))
        cv2.ellipse(lips, lip, lip_axes, tilt, 0, 360, float(rng.uniform(0.4, 1.0)), -1, cv2.LINE_8, 4)
    ragged = noise(rng, rows, columns, 1.3, 0.9)
    bruise = blurred(dark, 3.0)
    dark = smoothstep(blurred(dark, 0.9) + 0.22 * ragged, 0.2, 0.95)
    lips = blurred(lips, 0.8) * np.clip(0.9 + 0.35 * ragged, 0.2, 1.4)
    lips *= 1.0 - 0.8 * dark
    shape = (dark > 0.2) | (lips > 0.25)
    hull = np.zeros((rows, columns), np.uint8)
    points = cv2.findNonZero(shape.astype(np.uint8))
    if points is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    label = loose_outline(hull > 0, margin_px, float(rng.uniform(2.0, 4.0)))
    rough = 1.0 + 0.3 * ragged * bruise - 0.2 * bruise
    gain = rough * (1.0 - np.float32(rng.uniform(0.42, 0.62)) * dark)
    return defect_patch(PITS, gain, np.float32(rng.uniform(45, 130)) * lips, label)


def cracks(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a thin jagged dark line along the travel, with gaps and a faint bright lip."""
    margin_px = 4
    steps = max(6, rows // 7)
    y = np.linspace(margin_px + 1, rows - margin_px - 2, steps).astype(np.float32)
    walk = np.cumsum(rng.normal(0, 1.0, steps))
    walk = walk - np.linspace(walk[0], walk[-1], steps) * rng.uniform(0.0, 1.0)
    walk = (walk - walk.min()) / (np.ptp(walk) + 1e-6) - 0.5
    room = max(1.0, columns - 2 * margin_px - 4)
    x = (columns / 2 + room * walk + rng.normal(0, 0.5, steps)).astype(np.float32)
    dark = np.zeros((rows, columns), np.float32)
    width_px = rng.uniform(1.5, 2.6)
    _line(dark, x, y, width_px)
    for _ in range(int(rng.integers(0, 3))):
        start = int(rng.integers(0, steps - 3))
        run = slice(start, min(steps, start + int(rng.integers(3, 7))))
        aside = np.linspace(0, rng.choice([-1, 1]) * rng.uniform(3, 6), len(x[run])).astype(np.float32)
        branch = np.clip(x[run] + aside, margin_px, columns - margin_px - 1)
        _line(dark, branch, y[run], 1.2)
    shape = dark > 0.3
    dark = blurred(dark, 0.6)
    gaps = 1.0 + 0.3 * noise(rng, rows, columns, 8.0, 3.0) + 0.15 * noise(rng, rows, columns, 1.0, 0.8)
    gaps = np.clip(gaps, 0.35, 1.2)
    lip = np.roll(dark, int(rng.choice([-2, 2])), axis=1) * (1.0 - dark)
    label = loose_outline(shape, margin_px, float(rng.uniform(1.5, 3.0)))
    gain = 1.0 - np.float32(rng.uniform(0.5, 0.68)) * dark * gaps
    return defect_patch(CRACKS, gain, np.float32(rng.uniform(8, 35)) * lip * gaps, label)


def _relief(rng: np.random.Generator, rows: int, columns: int) -> FloatMap:
    """Draw light and shade on creased or flaked steel, mean about 0, deviation 1."""
    crease_px = float(np.clip(0.08 * min(rows, columns), 2.0, 11.0)) * float(rng.uniform(0.6, 1.3))
    stretch = float(rng.uniform(1.0, 3.0))
    height = np.zeros((rows, columns), np.float32)
    for octave in (1.0, 0.45, 0.2):
        grain_px = octave * crease_px
        one = noise(rng, rows, columns, max(0.6, grain_px), max(0.6, grain_px * stretch))
        height += octave**0.7 * np.abs(one)
    if rng.random() < 0.5:  # flakes: plateaus with sharp steps
        steps = 2.2 * height
        height = blurred(np.floor(steps) + 0.35 * (steps % 1.0), 0.6)
    shading = 0.5 * cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) + cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(np.clip(shading / (shading.std() + 1e-6), -2.5, 2.5), np.float32)


def patches(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a torn or rolled-in patch: creased or flaked steel with a dark tear along part of its outline."""
    margin_px = 5
    depth = ragged_depth(rng, rows, columns, margin_px, float(rng.uniform(-0.5, 0.5)))
    inside = smoothstep(depth, 0.0, 2.5)
    shading = _relief(rng, rows, columns)
    calm = smoothstep(noise(rng, rows, columns, 22.0, 30.0), -0.6, 0.9)  # parts of a patch are flat
    creased = rng.uniform(0.2, 0.38) * (0.4 + 0.6 * calm)
    level = rng.uniform(0.5, 0.88) * (1.0 + 0.12 * np.clip(noise(rng, rows, columns, 9.0, 14.0), -2, 2))
    wide_px = np.clip(1.8 + 1.2 * noise(rng, rows, columns, 7.0, 7.0), 0.5, 5.0)
    tear = np.exp(-(((depth - 1.0) / wide_px) ** 2)) * (depth > 0)
    tear = tear * smoothstep(noise(rng, rows, columns, 16.0, 20.0), -0.2, 0.9)
    gain = 1.0 + inside * (level - 1.0) + inside * creased * shading
    gain = gain * (1.0 - 0.62 * tear)
    light = np.clip(np.roll(tear, 3, axis=0) - tear, 0.0, 1.0) * rng.uniform(10, 60)
    light = light + smoothstep(shading, 1.5, 2.5) * inside * calm * rng.uniform(15, 90)
    if rng.random() < BARE_SHARE:  # shiny bare metal
        bare = noise(rng, rows, columns, 16.0, 20.0) + 0.25 * noise(rng, rows, columns, 1.5, 1.5)
        light = light + 130.0 * smoothstep(bare, 1.0, 1.25) * smoothstep(depth, 3.0, 8.0)
    label = loose_outline(depth > 0, margin_px - 1, float(rng.uniform(3.0, 7.0)))
    return defect_patch(PATCHES, gain, light, label)


DEFECTS: Final[dict[int, Draw]] = {PITS: pits, CRACKS: cracks, SCRATCHES: scratches, PATCHES: patches}
"""Drawing function of each kind."""
