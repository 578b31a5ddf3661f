"""Harmless single marks that must not be rejected: water, oil, scale, wipes, glints, bright paint.

They differ from defects. Water, oil and wipes are faint and soft-edged. Scale is a flat, dense field of flakes
without a lip, and far less dark than a pit. Glints are single spots. Paint is a thick bright blot without a dark
side. None of them breaks the texture of the steel.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from inspector.sources.simulator.mark import Draw, Patch
from inspector.sources.simulator.noise import FloatMap, blob, blurred, distance_inside, noise, smoothstep


def _harmless(gain: FloatMap, light: FloatMap | None = None) -> Patch:
    light = np.zeros_like(gain) if light is None else light
    return Patch(np.asarray(gain, np.float32), light, np.zeros(gain.shape, np.uint8))


def _border(rows: int, columns: int) -> FloatMap:
    """Return how far inside its box each pixel lies, as a share of the box."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    nearest = np.minimum(np.minimum(x, columns - 1 - x) / columns, np.minimum(y, rows - 1 - y) / rows)
    return np.asarray(nearest, np.float32)


def water(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a dried drop: a faint disc with a slightly stronger rim."""
    inside = distance_inside(blob(rng, rows, columns, 0.12) > 0)
    soft_px = rng.uniform(5, 10)
    disc = smoothstep(inside, 0.0, soft_px)
    rim = disc * np.exp(-((inside / (1.5 * soft_px)) ** 2))
    sign = rng.choice([-1.0, 1.0])
    gain = 1.0 + sign * (rng.uniform(0.03, 0.08) * disc + rng.uniform(0.04, 0.12) * rim)
    return _harmless(blurred(gain.astype(np.float32), 2.0))


def oil(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a film of oil: darker, with a wide soft edge and runs along the travel."""
    inside = distance_inside(blob(rng, rows, columns, 0.3) > 0)
    film = smoothstep(inside, 0.0, 0.2 * min(rows, columns) + 6.0)
    runs = noise(rng, rows, columns, 25.0, 5.0)
    return _harmless(1.0 - film * np.clip(rng.uniform(0.1, 0.25) * (1.0 + 0.25 * runs), 0.0, 0.35))


def scale(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a field of flat dark flakes, elongated along the travel."""
    inside = distance_inside(blob(rng, rows, columns, 0.3) > 0)
    dense = smoothstep(inside, 0.0, 0.3 * min(rows, columns))
    field = noise(rng, rows, columns, rng.uniform(3.0, 6.0), rng.uniform(1.2, 2.0))
    flakes = blurred(smoothstep(field + 1.2 * dense, 1.5, 2.3), 0.8)
    return _harmless(1.0 - np.float32(rng.uniform(0.1, 0.2)) * flakes)


def wipe(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw an arc left by a wiper or a dried puddle: a broad band, slightly brighter or darker."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    centre = rng.uniform(-0.5, 1.5) * columns, rows * float(rng.choice([-0.8, 1.8]))
    radius = np.hypot(x - centre[0], y - centre[1])
    middle = float(radius[rows // 2, columns // 2])
    band_px = 0.22 * min(rows, columns)
    band = smoothstep(band_px - np.abs(radius - middle), 0.0, 0.35 * band_px)
    band = band * smoothstep(_border(rows, columns), 0.0, 0.2)
    return _harmless(1.0 + np.float32(rng.choice([-1, 1]) * rng.uniform(0.04, 0.1)) * band)


def glints(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a field of single bright spots of one or two pixels."""
    inside = distance_inside(blob(rng, rows, columns, 0.3) > 0)
    dense = smoothstep(inside, 0.0, 0.3 * min(rows, columns))
    spots = smoothstep(noise(rng, rows, columns, 1.0, 0.8), 2.4, 3.2) * dense
    return _harmless(np.ones((rows, columns), np.float32), np.float32(rng.uniform(50, 120)) * spots)


def paint(rng: np.random.Generator, rows: int, columns: int) -> Patch:
    """Draw a digit of a coil number in white paint or chalk: blots along its strokes, with splashes."""
    canvas = np.zeros((rows, columns), np.uint8)
    stroke_px = max(5, min(rows, columns) // 9)
    digit = str(int(rng.integers(10)))
    (wide, high), _ = cv2.getTextSize(digit, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    font = min((columns - 3 * stroke_px) / wide, (rows - 3 * stroke_px) / high)
    foot = (int((columns - wide * font) / 2), int((rows + high * font) / 2))
    cv2.putText(canvas, digit, foot, cv2.FONT_HERSHEY_SIMPLEX, font, 1, stroke_px)
    strokes = blurred(canvas.astype(np.float32), 0.35 * stroke_px)
    blots = noise(rng, rows, columns, 0.8 * stroke_px, 0.6 * stroke_px)
    cover = smoothstep(strokes + 0.28 * blots, 0.5, 0.75)
    splash = smoothstep(noise(rng, rows, columns, 1.6, 1.6), 2.6, 3.1)
    near = blurred(canvas.astype(np.float32), 1.5 * stroke_px)
    cover = np.maximum(cover, splash * smoothstep(near, 0.02, 0.3))
    cover = blurred(cover, 0.8) * smoothstep(_border(rows, columns), 0.0, 0.05)
    return _harmless(1.0 - 0.3 * cover, np.float32(rng.uniform(140, 200)) * cover)


Size = Callable[[np.random.Generator], tuple[float, float]]


def _between(rows: tuple[float, float], columns: tuple[float, float]) -> Size:
    return lambda rng: (float(rng.uniform(*rows)), float(rng.uniform(*columns)))


BLEMISHES: Final[tuple[tuple[Draw, float, Size], ...]] = (
    (water, 0.25, _between((25, 110), (20, 90))),
    (oil, 0.20, _between((60, 320), (25, 140))),
    (scale, 0.22, _between((50, 260), (30, 160))),
    (wipe, 0.11, _between((140, 420), (220, 700))),
    (glints, 0.14, _between((40, 200), (40, 220))),
    (paint, 0.08, _between((90, 190), (70, 130))),
)
"""Drawing function, share among single marks, and size in rows and columns, px; chosen by eye from the real
frames."""
