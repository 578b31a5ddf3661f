"""Noise of a given grain, and outlines made from it; everything in the simulator is drawn with these."""

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.values import Pixels

FloatMap = NDArray[np.float32]

_SMALL_SIGMA_PX = 3.0
"""Grain at which coarse noise is blurred before it is enlarged: the same look, faster."""


def _shrink(grain_px: float, size_px: int) -> int:
    factor = 1
    while grain_px / (2 * factor) >= _SMALL_SIGMA_PX and size_px % (2 * factor) == 0:
        factor *= 2
    return factor


def blurred(field: FloatMap, sigma_px: float) -> FloatMap:
    """Return `field` blurred by a Gaussian of `sigma_px`."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)


def grain(rng: np.random.Generator, rows: int, columns: int, along_px: float, across_px: float) -> FloatMap:
    """Return Gaussian noise of mean 0 and deviation 1, float32 [rows, columns].

    `along_px` and `across_px` are the sigmas of its grain. The last row continues into the first, so the map
    repeats seamlessly along the strip.
    """
    shrink_y, shrink_x = _shrink(along_px, rows), _shrink(across_px, columns)
    sigma_y, sigma_x = along_px / shrink_y, across_px / shrink_x
    small_rows, small_columns = rows // shrink_y, columns // shrink_x
    field = rng.standard_normal((small_rows, small_columns), dtype=np.float32)
    wrap = int(4 * sigma_y) + 2
    field = np.pad(field, ((wrap, wrap), (0, 0)), mode="wrap")
    if max(sigma_x, sigma_y) > 0.3:  # a smaller Gaussian kernel is a single pixel
        blur = cv2.GaussianBlur(field, (0, 0), max(sigma_x, 0.01), sigmaY=max(sigma_y, 0.01))
        field = np.asarray(blur, np.float32)
    if shrink_y * shrink_x > 1:
        size = (columns, field.shape[0] * shrink_y)
        field = np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_LINEAR), np.float32)
    field = field[wrap * shrink_y : wrap * shrink_y + rows]
    field = (field - field.mean()) / (field.std() + 1e-6)
    return np.ascontiguousarray(field, np.float32)


def noise(rng: np.random.Generator, rows: int, columns: int, along_px: float, across_px: float) -> FloatMap:
    """Return `grain` of any size for a single mark; it does not repeat seamlessly."""
    rows_8, columns_8 = -(-rows // 8) * 8, -(-columns // 8) * 8  # coarse noise is enlarged from these
    return grain(rng, rows_8, columns_8, along_px, across_px)[:rows, :columns]


def smoothstep(field: FloatMap, low: float, high: float) -> FloatMap:
    """Return 0 below `low`, 1 above `high`, and a smooth ramp in between."""
    ramp = np.clip((field - low) / (high - low), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), np.float32)


def distance_inside(shape: NDArray[np.bool_]) -> FloatMap:
    """Return the distance of every pixel of `shape` [rows, columns] to its outline, px; 0 outside."""
    padded = np.pad(shape.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def blob(rng: np.random.Generator, rows: int, columns: int, roughness: float, tilt: float = 0.0) -> Pixels:
    """Return an irregular outline that fills a [rows, columns] box, as a 0/1 map.

    `roughness` 0 gives an ellipse, 0.5 a ragged shape; `tilt` (radians) rotates its long axis.
    """
    corners = 72
    angle = np.linspace(0.0, 2 * np.pi, corners, endpoint=False)
    radius = np.ones(corners)
    for harmonic in range(2, 14):
        amplitude = roughness * rng.normal() / harmonic**0.8
        radius += amplitude * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, None)
    x, y = radius * np.cos(angle), radius * np.sin(angle) * rng.uniform(0.5, 1.0)
    x, y = x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)
    x = (x - x.min()) / np.ptp(x) * (columns - 1)
    y = (y - y.min()) / np.ptp(y) * (rows - 1)
    shape = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(shape, [np.stack([x, y], 1).round().astype(np.int32)], 1)
    return shape


def loose_outline(shape: NDArray[np.bool_], margin_px: int, corner_px: float) -> Pixels:
    """Return the polygon an annotator would draw around `shape`, as a 0/1 map of the same size.

    It lies `margin_px` outside, with corners cut by `corner_px`. The caller leaves space for the margin.
    """
    reach = 2 * margin_px + 1
    wide = cv2.dilate(shape.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    contours, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [cv2.approxPolyDP(contour, corner_px, closed=True) for contour in contours]
    outline = np.zeros(shape.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(outline, [polygon], 1)
    return outline


def ragged_depth(rng: np.random.Generator, rows: int, columns: int, margin_px: int, tilt: float) -> FloatMap:
    """Return the depth inside an outline, ragged down to single pixels and `margin_px` away from the box."""
    inner = (max(8, rows - 2 * margin_px), max(8, columns - 2 * margin_px))
    rough = distance_inside(blob(rng, *inner, 0.3, tilt) > 0)
    bite_px = min(3.0, 0.06 * min(inner))
    bites = 0.8 * noise(rng, *inner, 5.0, 6.5) + 0.5 * noise(rng, *inner, 1.5, 1.8)
    rough = np.asarray(np.minimum(rough, 4 * bite_px) + bite_px * bites, np.float32)
    core = np.zeros((rows, columns), np.bool_)
    inside = core[margin_px:, margin_px:][: inner[0], : inner[1]]
    inside[...] = (rough > 1.3 * bite_px)[: inside.shape[0], : inside.shape[1]]
    opened = cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if len(stats) > 1 else 0
    return distance_inside(parts == largest) if largest else distance_inside(core)
