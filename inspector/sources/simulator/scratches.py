"""Kind 3: scratches along the travel, single or in bands, and slivers of torn steel."""

from typing import Final

import cv2
import numpy as np

from inspector.sources.simulator.mark import Patch, defect_patch
from inspector.sources.simulator.noise import (
    FloatMap,
    loose_outline,
    noise,
    ragged_depth,
    smoothstep,
)

SCRATCHES: Final = 3
BAND_FROM_PX: Final = 48
"""Width from which a scratch along the travel is a band of many lines."""
BRIGHT_SHARE: Final = 0.3
"""Share of scratches along the travel that shine; the others are dark. By eye, from 25 real frames."""
STROKE_QUANTILES: Final = (0.6, 0.72, 0.92)
"""Quantiles at which shadow begins, strokes begin, and strokes are full: about a quarter of a sliver's outline
shines and a quarter lies in shadow, regardless of its size."""
DULL_SHARE: Final = 0.45
"""Share of slivers whose faces hardly shine; by eye."""
SMALL_BOX_PX: Final = 30
"""Box side below which annotators leave a narrower margin around a sliver."""
SMALL_SLIVER_PX: Final = 3000
"""Box area up to which a sliver always shines, px²: annotators do not find small dull ones either."""
SLIVER_ASPECT: Final = 2.2
"""Elongation above which kind 3 is a scratch; below it is a sliver or a field of chips."""


def _ends(rng: np.random.Generator, rows: int, columns: int, clear_px: int) -> FloatMap:
    """Return 1 in the middle of a scratch, with ragged ends, column by column."""
    y = np.arange(rows, dtype=np.float32)[:, None]
    taper_px = min(0.12 * rows, rng.uniform(4.0, 25.0))
    raggedness = np.abs(rng.normal(0, 0.5 * taper_px, (2, columns))).astype(np.float32)
    ends = np.minimum(y - clear_px - raggedness[0], rows - 1 - clear_px - raggedness[1] - y)
    return smoothstep(np.asarray(ends, np.float32), 0.0, float(taper_px))


def _lines_across(rng: np.random.Generator, columns: int, margin_px: int) -> FloatMap:
    """Return the depth of a scratch's lines at each column: a few deep lines and some finer ones."""
    room = columns - 2 * margin_px - 4
    x = np.arange(columns, dtype=np.float32)
    depth = np.zeros(columns, np.float32)
    deep = 1 + int(rng.random() < 0.4) if columns <= BAND_FROM_PX else 2 + int(rng.poisson(room / 45))
    fine = int(rng.poisson(1.0 + room / 9))
    for i in range(deep + fine):
        place = columns / 2 + room * (rng.uniform(-0.5, 0.5) if deep + fine > 1 else 0.0)
        if i < 2 and deep > 1:  # the outermost lines span the label's width
            place = columns / 2 + room * (i - 0.5)
        sigma_px = rng.uniform(0.9, 1.9) if i < deep else rng.uniform(0.4, 0.8)
        strength = rng.uniform(0.85, 1.0) if i < deep else rng.uniform(0.2, 0.7)
        np.maximum(depth, strength * np.exp(-0.5 * ((x - place) / sigma_px) ** 2), out=depth)
    return depth


def _scratch_along(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw parallel lines along the travel: one or a few thin ones, or a wide band."""
    margin_px = 5
    lean = float(np.clip(rng.normal(0, 0.012) * rows, -0.3 * columns, 0.3 * columns))
    depth = np.broadcast_to(_lines_across(rng, columns, margin_px + int(abs(lean) / 2)), (rows, columns))
    uneven = 1.0 + 0.3 * noise(rng, rows, columns, 45.0, 0.8) + 0.2 * noise(rng, rows, columns, 2.5, 0.6)
    lines = np.asarray(depth * np.clip(uneven, 0.45, 1.35) * _ends(rng, rows, columns, margin_px), np.float32)
    shear = np.array([[1.0, lean / rows, -lean / 2], [0.0, 1.0, 0.0]])
    lines = np.asarray(cv2.warpAffine(lines, shear, (columns, rows), flags=cv2.INTER_LINEAR), np.float32)
    hull = np.zeros((rows, columns), np.uint8)
    points = cv2.findNonZero((lines > 0.2).astype(np.uint8))
    if points is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    label = loose_outline(hull > 0, margin_px, float(rng.uniform(2.0, 5.0)))
    between = np.clip(noise(rng, rows, columns, 40.0, 1.2), -1.5, 1.5) * hull
    if rng.random() < BRIGHT_SHARE:
        light = np.float32(rng.uniform(60, 140)) * lines
        dark_side = np.roll(lines, 2, axis=1) * (1.0 - np.clip(lines, 0.0, 1.0))
        return defect_patch(SCRATCHES, 1.0 - 0.04 * between - 0.25 * dark_side, light, label)
    gain = (1.0 - np.float32(rng.uniform(0.5, 0.72)) * lines) * (1.0 - 0.06 * between)
    chips = smoothstep(noise(rng, rows, columns, 1.5, 1.0), 2.5, 3.1) * (lines > 0.3)
    return defect_patch(SCRATCHES, gain, np.float32(rng.uniform(30, 90)) * chips, label)


def _sliver(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw torn steel in strokes of one direction: bright faces beside dark shadows, in a ragged outline."""
    margin_px = 3 if min(rows, columns) < SMALL_BOX_PX else 5
    depth = ragged_depth(rng, rows, columns, margin_px, 0.0)
    inside = smoothstep(depth, 0.0, 4.0)
    lying = columns > SLIVER_ASPECT * rows
    along_px, across_px = (1.2, rng.uniform(6, 18)) if lying else (rng.uniform(2.0, 5.0), rng.uniform(1.0, 2.2))
    field = noise(rng, rows, columns, float(along_px), float(across_px))
    turn = rng.uniform(-25, 25)
    if lying:
        turn = rng.choice([-1, 1]) * np.degrees(np.arctan2(0.6 * rows, columns)) * rng.uniform(0.2, 1.0)
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), float(turn), 1.0)
    turned = cv2.warpAffine(field, matrix, (columns, rows), borderMode=cv2.BORDER_REFLECT_101)
    crowded = 0.5 * noise(rng, rows, columns, 9.0, 12.0 if lying else 6.0)
    field = np.asarray(turned, np.float32) + crowded + 0.2 * noise(rng, rows, columns, 0.8, 0.8)
    core = depth > 0
    faint, plain, strong = (float(np.quantile(field[core], q)) for q in STROKE_QUANTILES)
    strokes = smoothstep(field, plain, strong) * inside
    shadow = smoothstep(np.roll(field, 2, axis=int(not lying)), faint, plain) * (1.0 - strokes) * inside
    dull_share = DULL_SHARE if rows * columns > SMALL_SLIVER_PX else 0.0
    blaze = float(rng.uniform(40, 75) if rng.random() < dull_share else rng.uniform(75, 160))
    gain = (1.0 - np.float32(rng.uniform(0.5, 0.72)) * shadow) * (1.0 - 0.08 * inside)
    strokes = strokes * np.clip(0.75 + 0.3 * noise(rng, rows, columns, 1.2, 2.0), 0.3, 1.3)
    label = loose_outline(core, margin_px - 1, float(rng.uniform(2.5, 6.0)))
    return defect_patch(SCRATCHES, gain, np.float32(blaze) * strokes, label)


def scratches(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a scratch along the travel in an elongated box, a sliver in any other."""
    if rows > SLIVER_ASPECT * columns:
        return _scratch_along(rng, rows, columns)
    return _sliver(rng, rows, columns)
