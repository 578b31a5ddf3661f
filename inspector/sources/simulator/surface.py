"""The rolling surface: sound steel as the camera sees it, coil by coil, without single marks.

Everything along the travel is a function of the row on the coil, so a frame is a window of it; only the camera's
lighting repeats with every frame.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.sources.simulator.noise import FloatMap, grain
from inspector.sources.simulator.settings import StripSettings

TILE_ROWS: Final = 1024
"""Rows after which fine texture repeats. Streaks never repeat; stains repeat after STAIN_ROWS, at another
level."""
STAIN_ROWS: Final = 2048
KNOT_ROWS: Final = 320
"""Distance of the rows between which streaks and stain levels are interpolated along the strip."""
STAIN_WIDTH_PX: Final = 17
"""Width from which a film of water or oil holds together; thinner films have run off or dried. Most scratches are
narrower, so neither an annotator nor a network confuses the two."""
STAIN_TAIL_PX: Final = (5, 13)
"""Distance across and along by which a stain extends beyond its wide parts before it fades."""
STAIN_FADE_PX: Final = (2.5, 9.0)
"""Sigmas of the fade, across and along."""
STAIN_MARGIN_ROWS: Final = 64
"""Rows beyond a frame that affect its stains: the opening, the tail and four sigmas of the fade."""
LARGEST_ENVELOPE: Final = 1.35
"""Largest local strength of the fine texture relative to the average: real rolling marks stay a texture."""

MEDIAN_LEVEL: Final = 92.0
"""Median grey of a frame full of steel. On the 60 real frames, the 5, 50 and 95 % quantiles are 71, 98 and 121."""
LEVEL_SPREAD: Final = 0.20
BLACK: Final = 2.5
"""Grey level outside the strip."""
MOST_BLACK_PX: Final = 1120.0
"""Widest dark stretch beside the steel, px: on a strip wider than a frame, every camera sees steel."""

EDGE_SHARE: Final = 0.36
"""Share of coils with a strip edge in view; 37 % of the 106 real frames show one."""

_STREAKS, _STAINS = 2, 3  # random streams of one coil


class Textures:
    """Noise that all coils share and combine differently; created once per line, about 50 MB at 1600 columns."""

    def __init__(self, settings: StripSettings) -> None:
        rng = np.random.default_rng([settings.seed, 0])
        width = settings.width
        self.fine = grain(rng, TILE_ROWS, width, 0.7, 0.6)
        self.drawn = grain(rng, TILE_ROWS, width, 9.0, 0.7)
        self.chatter = grain(rng, TILE_ROWS, width, 1.6, 22.0)
        self.mottle = grain(rng, TILE_ROWS, width, 26.0, 9.0)
        peaks = grain(rng, TILE_ROWS, width, 0.7, 1.0)
        self.glints: FloatMap = np.clip(peaks - 1.9, 0.0, 1.5)
        stain = grain(rng, STAIN_ROWS, width, 48.0, 7.0) + 0.45 * grain(rng, STAIN_ROWS, width, 10.0, 2.5)
        self.stain: FloatMap = np.asarray(stain / stain.std(), np.float32)


@dataclass(frozen=True, slots=True)
class _Edges:
    """The position of the coil's strip in the view, px."""

    left: float
    right: float
    sway_px: float
    sway_rows: float
    head_rows: int
    tail_rows: int


def _another(rng: np.random.Generator, tile: FloatMap) -> FloatMap:
    """Return the same noise from another row on, possibly mirrored, so that no two coils look alike."""
    rolled = np.roll(tile, int(rng.integers(len(tile))), axis=0)
    return rolled[:, ::-1] if rng.random() < 0.5 else rolled


def _bumps(rng: np.random.Generator, width: int, count: int) -> FloatMap:
    x = np.linspace(0.0, 1.0, width, dtype=np.float32)
    curve = np.zeros(width, np.float32)
    for _ in range(count):
        centre, reach = rng.uniform(-0.1, 1.1), rng.uniform(0.1, 0.45)
        curve += np.float32(rng.normal()) * np.exp(-0.5 * ((x - centre) / reach) ** 2).astype(np.float32)
    return curve


def _streaks(rng: np.random.Generator, width: int, strength: float) -> FloatMap:
    """Return the relative brightness of streaks along the travel, [W]: bands, lines and hair lines."""
    profile = np.zeros(width, np.float32)
    for sigma_px, weight in ((45.0, 0.055), (9.0, 0.035), (1.6, 0.022)):
        noise = rng.standard_normal((1, width + 8 * int(sigma_px))).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), sigma_px)[0, 4 * int(sigma_px) :][:width]
        profile += np.float32(weight * strength) * smooth / (smooth.std() + np.float32(1e-6))
    return profile


class CoilSurface:
    """Sound steel of one coil; `frame(i)` is its i-th window."""

    def __init__(self, settings: StripSettings, textures: Textures, coil: int) -> None:
        self._settings = settings
        self._textures = textures
        self._coil = coil
        rng = np.random.default_rng([settings.seed, 1, coil])
        self.edges = self._draw_edges(rng)
        self._level = float(np.clip(MEDIAN_LEVEL * np.exp(rng.normal(0, LEVEL_SPREAD)), 58, 135))
        self._drift = rng.uniform(0.02, 0.09), rng.uniform(1500, 9000), rng.uniform(0, 2 * np.pi)
        self._streak_strength = float(rng.uniform(0.4, 1.4))
        turn = rng.uniform(0, 2 * np.pi)
        self._stain = np.float32(np.cos(turn)) * _another(rng, textures.stain)
        self._stain += np.float32(np.sin(turn)) * _another(rng, textures.stain)
        self._stain_gain = float(rng.choice([rng.uniform(0.68, 0.86), rng.uniform(1.1, 1.25)], p=[0.8, 0.2]))
        self._stain_level = float(rng.choice([rng.uniform(1.1, 2.0), 3.2], p=[0.5, 0.5]))
        self._lighting = self._draw_lighting(rng)
        self._texture = self._mix_texture(rng)
        self._knots: dict[int, tuple[FloatMap, FloatMap]] = {}

    @property
    def rows(self) -> int:
        """Rows of the coil."""
        return self._settings.coil_frames * self._settings.height

    def _draw_edges(self, rng: np.random.Generator) -> _Edges:
        width, height = self._settings.width, self._settings.height
        left, right = -1e3, width + 1e3
        if rng.random() < EDGE_SHARE:
            black = min(width * float(rng.uniform(0.03, 0.7)), MOST_BLACK_PX)
            left, right = (black, right) if rng.random() < 0.5 else (left, width - black)
        head, tail = (int(height * rng.uniform(0.1, 0.6)) if rng.random() < 0.3 else 0 for _ in range(2))
        if self._settings.coil_frames < 3:  # a coil of one or two frames would be mostly air
            head = tail = 0
        return _Edges(left, right, float(rng.uniform(0, 4)), float(rng.uniform(900, 5000)), head, tail)

    def _draw_lighting(self, rng: np.random.Generator) -> FloatMap:
        """Draw the camera's lighting, [H, W]: it falls off across the strip and along a frame."""
        width, height = self._settings.width, self._settings.height
        across = np.exp(0.17 * _bumps(rng, width, 4))
        x = np.linspace(-1.0, 1.0, width, dtype=np.float32)
        across = across * (1.0 - rng.uniform(0.0, 0.35) * np.abs(x - rng.uniform(-0.3, 0.3)) ** 2)
        across = across / np.median(across)
        y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
        brighter_at = rng.uniform(-0.7, 0.7)
        slope = rng.normal(0, 0.12) + rng.normal(0, 0.16) * np.exp(-(((x - brighter_at) / 0.5) ** 2))
        lighting = across[None, :] * np.clip(1.0 + slope[None, :] * y, 0.6, 1.6)
        columns = np.arange(width, dtype=np.float32)
        for inside in (columns - self.edges.left, self.edges.right - columns):
            band_px, line_px = rng.uniform(10, 70), rng.uniform(8, 90)
            band = rng.uniform(-0.25, 0.6) * np.exp(-((inside / band_px) ** 2))
            line = rng.uniform(-0.3, 0.0) * np.exp(-(((inside - line_px) / 7.0) ** 2))
            lighting = lighting * (1.0 + band + line)[None, :]
        return np.asarray(np.clip(lighting, 0.35, 1.8), np.float32)

    def _mix_texture(self, rng: np.random.Generator) -> FloatMap:
        """Mix the coil's fine texture as a gain, [TILE_ROWS, W], seamless along the strip."""
        tiles, width = self._textures, self._settings.width
        texture = np.ones((TILE_ROWS, width), np.float32)
        chatter = rng.uniform(0.0, 0.015) if rng.random() < 0.6 else rng.uniform(0.02, 0.055)
        for tile, strength in (
            (tiles.fine, rng.uniform(0.025, 0.06)),
            (tiles.drawn, rng.uniform(0.01, 0.04)),
            (tiles.chatter, chatter),
            (tiles.mottle, rng.uniform(0.0, 0.03)),
        ):
            envelope = np.minimum(np.exp(0.3 * _bumps(rng, width, 3)), LARGEST_ENVELOPE) * strength
            texture += _another(rng, tile) * envelope.astype(np.float32)[None, :]
        sparkle = np.clip(_bumps(rng, width, 5) - rng.uniform(0.2, 1.5), 0.0, 1.5) * rng.uniform(0.3, 1.2)
        for inside in (np.arange(width) - self.edges.left, self.edges.right - np.arange(width)):
            sparkle = sparkle + rng.uniform(0.0, 1.2) * np.exp(-np.abs(inside - 20) / rng.uniform(10, 50))
        texture += _another(rng, tiles.glints) * sparkle.astype(np.float32)[None, :]
        return np.asarray(np.clip(texture, 0.6, 2.6), np.float32)

    def _knot(self, index: int) -> tuple[FloatMap, FloatMap]:
        """Return streak gain and stain level, [W] each, at row index · KNOT_ROWS."""
        if index not in self._knots:
            width = self._settings.width
            base = np.random.default_rng([self._settings.seed, 2, self._coil, _STREAKS])
            here = np.random.default_rng([self._settings.seed, 2, self._coil, _STREAKS, index + 1])
            streak = _streaks(base, width, self._streak_strength) + _streaks(
                here, width, 0.35 * self._streak_strength
            )
            base = np.random.default_rng([self._settings.seed, 2, self._coil, _STAINS])
            here = np.random.default_rng([self._settings.seed, 2, self._coil, _STAINS, index + 1])
            stain = self._stain_level - 1.1 * _bumps(base, width, 5) - 0.5 * _bumps(here, width, 5)
            self._knots = {i: knot for i, knot in self._knots.items() if i >= index - 64}
            self._knots[index] = (1.0 + streak, np.asarray(np.maximum(stain, 0.5), np.float32))
        return self._knots[index]

    def _along(self, rows: NDArray[np.int64], look: int) -> FloatMap:
        """Interpolate streak gain (`look` 0) or stain level (1) between knots, [rows, W]."""
        first, last = int(rows[0]) // KNOT_ROWS, int(rows[-1]) // KNOT_ROWS + 1
        values = np.stack([self._knot(i)[look] for i in range(first, last + 1)])
        place = rows / KNOT_ROWS - first
        knots = np.arange(last - first + 1)
        weights = np.maximum(0.0, 1.0 - np.abs(place[:, None] - knots[None, :])).astype(np.float32)
        return np.asarray(weights @ values, np.float32)

    def _stains(self, rows: NDArray[np.int64]) -> FloatMap:
        """Return the gain of the stains, [rows, W].

        It is computed with the rows around, so that a stain looks the same in both frames that contain it.
        """
        around = np.arange(rows[0] - STAIN_MARGIN_ROWS, rows[-1] + 1 + STAIN_MARGIN_ROWS)
        stain = self._stain.take(around % STAIN_ROWS, axis=0)
        stain -= self._along(around, 1)
        stain *= np.float32(8.0)
        np.clip(stain, 0.0, 1.0, out=stain)
        here = slice(STAIN_MARGIN_ROWS, -STAIN_MARGIN_ROWS)
        gain = stain[here] * _held_together(stain)[here]
        gain *= np.float32(self._stain_gain - 1.0)
        gain += np.float32(1.0)
        return gain

    def presence(self, rows: NDArray[np.int64]) -> FloatMap | None:
        """Return the share of each pixel that is strip, 0..1, [rows, W]; None when all of it is strip."""
        edges, width = self.edges, self._settings.width
        presence = None
        if edges.left > 0 or edges.right < width:
            sway = edges.sway_px * np.sin(rows / edges.sway_rows * 2 * np.pi)
            columns = np.arange(width, dtype=np.float32)[None, :]
            shift = sway.astype(np.float32)[:, None]
            presence = np.clip((columns - shift - np.float32(edges.left)) / 2.5, 0.0, 1.0)
            presence *= np.clip((np.float32(edges.right) - columns + shift) / 2.5, 0.0, 1.0)
        if rows[0] < edges.head_rows or rows[-1] >= self.rows - edges.tail_rows:
            head = np.clip((rows - edges.head_rows) / 3.0, 0.0, 1.0)
            tail = np.clip((self.rows - edges.tail_rows - rows) / 3.0, 0.0, 1.0)
            ends = np.broadcast_to((head * tail).astype(np.float32)[:, None], (len(rows), width))
            presence = ends.copy() if presence is None else presence * ends
        return presence

    def frame(self, index: int) -> FloatMap:
        """Return grey levels of sound steel, [H, W]; also outside the strip, which `presence` masks."""
        height = self._settings.height
        rows = np.arange(index * height, (index + 1) * height)
        amplitude, period, phase = self._drift
        drift = self._level * (1.0 + amplitude * np.sin(rows / period * 2 * np.pi + phase))
        steel = self._texture.take(rows % TILE_ROWS, axis=0)
        steel *= self._along(rows, 0)
        steel *= self._lighting
        steel *= drift.astype(np.float32)[:, None]
        steel *= self._stains(rows)
        return steel


def _held_together(stain: FloatMap) -> FloatMap:
    """Return how much of a film `stain` [rows, W] remains at each pixel, 0..1.

    A wide film remains, a thin tail fades, and small or thin films vanish, because they would look like pits and
    scratches. The result depends on STAIN_MARGIN_ROWS around a pixel; the next row weighs less than 2e-5.
    """
    across, along = STAIN_TAIL_PX
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STAIN_WIDTH_PX, STAIN_WIDTH_PX))
    tail = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * across + 1, 2 * along + 1))
    core = cv2.morphologyEx((stain > 0.0).astype(np.uint8), cv2.MORPH_OPEN, wide)
    reach = cv2.dilate(core, tail).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(reach, (0, 0), STAIN_FADE_PX[0], sigmaY=STAIN_FADE_PX[1]), np.float32)
