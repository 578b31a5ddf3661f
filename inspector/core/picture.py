"""Checks whether a picture is fit to inspect: light, evenness, contrast, focus, noise, repeated pictures.

A line that inspects black or blurred pictures finds no defects and accepts all of them. So ingest measures a few
rows of each frame and compares the measures with limits. `docs/picture.md` explains each measure and its limits.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Final

import cv2
import msgspec
import numpy as np

from inspector.values import Code, Pixels, Uninspected

PARTS: Final = 8
"""Sampled rows, and blocks across: eight show a half-failed lamp, and cost a tenth of what a frame costs."""

FAR_PX: Final = 8
"""Contrast is the mean difference of pixels this far apart: a 3 px blur hardly changes it, 1 px noise does."""

CLIPPED_GREY: Final = 250
"""Grey from which a pixel counts as saturated: JPEG turns 255 into 250 to 255."""

EDGE_SHARE: Final = 8
"""A block darker than an eighth of the brightest shows no strip; such blocks at the sides are left out."""

LEARN_FRAMES: Final = 64
"""Frames that limits are learned from. With 32, real frames of many coils gave false alarms, with 64 none; a
line at 100 frames/s has its limits after 0.6 s."""

_ONES: Final = np.ones(2 * PARTS, np.float32)
"""A dot product with it is numpy's fastest way to add a few numbers."""

_BLACK_ROW: Final = 4.0
"""A row between others may be this much darker than the evenness limit: dark defects may be as wide as a picture.
With the highest limit, 0.25, a row is black below a sixteenth of the bright ones."""

_LEAST_EVENNESS: Final = 0.1
"""A line that shows less than this sees the strip's edge or end: its evenness says nothing about the lamp."""

DARK = Uninspected(Code.PICTURE_DARK, "picture too dark: lamp off or weak, lens covered, or no strip in view")
BRIGHT = Uninspected(Code.PICTURE_BRIGHT, "picture too bright: exposure too long, or light from outside")
UNEVEN = Uninspected(
    Code.PICTURE_UNEVEN, "picture dark in part: part of the lamp off, or the strip covers part of the view only"
)
FLAT = Uninspected(Code.PICTURE_FLAT, "picture without contrast: lens covered or fogged, or no strip in view")
NOISY = Uninspected(Code.PICTURE_NOISY, "picture full of noise: camera, cable or gain")
BLURRED = Uninspected(Code.PICTURE_BLURRED, "picture blurred: lens out of focus or dirty")
FROZEN = Uninspected(Code.PICTURE_FROZEN, "picture repeated: the camera gives the same picture again")


class Measures(msgspec.Struct, frozen=True):
    """Measures of the strip in a picture's sampled rows. The strip is the blocks between its edges."""

    light_grey: float
    """Grey of the brightest block across, as if all rows were as bright as the brightest."""
    strip_grey: float
    """Mean grey of the strip."""
    evenness_along: float
    """Grey of the third darkest of eight rows ÷ that of the third brightest; with black rows between others, less:
    see `_evenness_along`."""
    evenness_across: float
    """Grey of the third darkest of eight blocks across the whole picture ÷ that of the third brightest."""
    contrast: float
    """Mean difference of pixels 8 px apart ÷ mean grey: independent of the light."""
    grain: float
    """Mean difference of neighbouring pixels ÷ mean grey: texture and noise."""
    sharpness: float
    """Grain ÷ contrast: 1 for noise, 1/8 for a picture so blurred that it is smooth over 8 px."""
    detail: float
    """Share of the contrast beyond one pixel that is there at 2 px: 1/21 for a picture that is smooth over 8 px.
    The noise of single pixels raises each distance by the same and drops out, so it cannot hide a blur."""


_DETAIL_ERROR: Final = 0.03
"""Largest standard error of `detail`. Where single pixels show nearly all, or few pixels are measured, it is a
ratio of two small and uncertain differences, and counts as 1."""

_SPREAD: Final = 1.5
"""Standard error of a squared mean difference of n pixels × √n ÷ its value; 2 × 0.75 for noise."""

RECENT: Final = 4
"""Pictures that a new one is compared with: a driver that hangs may repeat its buffers in turn."""

EQUAL_SHARE: Final = 0.99
"""Share of equal pixels from which two pictures are the same one: a flickering pixel must not hide that the rest
is frozen. The noise of a camera leaves less than half of the pixels equal."""


_GREY_STEP: Final = 0.2
"""Largest difference in mean grey of two pictures that are compared: eight of 10 000 pixels go from 0 to 255."""


class Limits(msgspec.Struct, frozen=True):
    """Limits that a picture must meet. Learned limits are never looser than the defaults."""

    min_light_grey: float = 8.0
    """Cameras give 0 to 5 with the lamp off."""
    max_strip_grey: float = CLIPPED_GREY
    max_clipped_share: float = 0.95
    """Share of the strip's pixels that may be saturated."""
    min_evenness_along: float = 0.0
    min_evenness_across: float = 0.0
    min_background_grey: float = 0.0
    max_background_grey: float = -1.0
    """Grey range of places without strip, empty by default; evenness leaves out rows and blocks in it."""
    min_contrast: float = 0.0
    min_grain: float = 0.0
    max_grain: float = np.inf
    min_sharpness: float = 0.0
    min_detail: float = 0.0
    max_equal_pictures: float = np.inf
    """In a row, including the first."""


def measure(pixels: Pixels, limits: Limits) -> tuple[Measures, Pixels]:
    """Measure a picture, uint8 [H, W]; also returns the measured pixels: of the strip, in a few rows."""
    height, width = pixels.shape
    step, parts = max(1, height // PARTS), min(PARTS, width)
    size = width // parts
    rows = np.ascontiguousarray(pixels[step // 2 :: step, : parts * size])
    count = len(rows)
    sums = cv2.reduce(rows.reshape(-1, size), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F).reshape(count, parts)
    blocks = _ONES[:count].dot(sums).tolist()
    brightest = max(blocks)
    if not brightest:
        return Measures(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0), rows
    if min(blocks) * EDGE_SHARE < brightest:
        seen = [index for index, grey in enumerate(blocks) if grey * EDGE_SHARE >= brightest]
        first, end = seen[0], seen[-1] + 1
        rows = np.ascontiguousarray(rows[:, first * size : end * size])
        sums = sums[:, first:end]
    greys = sums.dot(_ONES[: sums.shape[1]]).tolist()
    total = sum(greys)
    # The rows as one: the steps from one sampled row to the next add a thousandth.
    line = rows.reshape(-1)
    far = min(FAR_PX, line.size - 1)
    near = cv2.norm(line[1:], line[:-1], cv2.NORM_L1)
    apart = cv2.norm(line[far:], line[:-far], cv2.NORM_L1) if far else 0.0
    detail = 1.0
    beyond = apart * apart - near * near
    if far == FAR_PX and _SPREAD * near * near < _DETAIL_ERROR * beyond * math.sqrt(line.size):
        middle = cv2.norm(line[2:], line[:-2], cv2.NORM_L1)
        detail = (middle * middle - near * near) / beyond
    low, high = limits.min_background_grey, limits.max_background_grey
    return Measures(
        light_grey=brightest * max(greys) / (total * size),
        strip_grey=total / line.size,
        evenness_along=_evenness_along(greys, low * rows.shape[1], high * rows.shape[1]),
        evenness_across=_evenness(blocks, low * size * count, high * size * count),
        contrast=apart / total,
        grain=near / total,
        sharpness=near / apart if apart else 1.0,
        detail=detail,
    ), rows


def _evenness(greys: list[float], low: float, high: float) -> float:
    """Third darkest ÷ third brightest of eight: two may be dark where a strip ends or is narrow."""
    ordered = sorted(greys if low > high else [grey for grey in greys if not low <= grey <= high])
    if not ordered:
        return 1.0
    few = len(ordered) // 4
    return ordered[few] / (ordered[-1 - few] or 1.0)


def _evenness_along(greys: list[float], low: float, high: float) -> float:
    """`_evenness` of the rows; less where a black row lies between others, which no end of the strip explains."""
    rows = greys if low > high else [grey for grey in greys if not low <= grey <= high]
    few = len(rows) // 4
    if not few:
        return _evenness(greys, low, high)
    ordered = sorted(rows)
    bright = ordered[-1 - few] or 1.0
    evenness = ordered[few] / bright
    if ordered[0] * _BLACK_ROW >= bright:
        return evenness
    # Up to two rows at the ends may show the strip's end.
    darkest = max(min(rows[start : len(rows) - few + start]) for start in range(few + 1))
    return min(evenness, _BLACK_ROW * darkest / bright)


def clipped_share(strip: Pixels) -> float:
    """Share of saturated pixels."""
    if cv2.norm(strip, cv2.NORM_INF) < CLIPPED_GREY:  # costs a third of counting, and most pictures have none
        return 0.0
    return float(np.count_nonzero(strip >= CLIPPED_GREY)) / strip.size


def _equal(one: Pixels, other: Pixels) -> bool:
    if one is other:
        return True
    return (
        one.shape == other.shape
        and cv2.countNonZero(cv2.compare(one, other, cv2.CMP_EQ)) >= EQUAL_SHARE * one.size
    )


class _Extremes:
    """Extremes of the measures of a line's first pictures."""

    def __init__(self) -> None:
        self.count = 0
        self.low: dict[str, float] = {}
        self.high: dict[str, float] = {}
        self.repeated = False

    def add(self, measures: Measures, clipped: float) -> None:
        self.count += 1
        for name, value in (*msgspec.structs.asdict(measures).items(), ("clipped", clipped)):
            self.low[name] = min(value, self.low.get(name, value))
            self.high[name] = max(value, self.high.get(name, value))

    def limits(self) -> Limits:
        """Limits far outside of what was seen: a wide limit misses weak faults, a narrow one stops a line.

        The factors and bounds come from 171 and 3627 real frames of many coils: see docs/picture.md.
        """
        low, high, always = self.low, self.high, Limits()
        return Limits(
            min_light_grey=max(always.min_light_grey, 0.4 * low["light_grey"]),
            max_strip_grey=min(always.max_strip_grey, 1.6 * high["strip_grey"]),
            max_clipped_share=min(always.max_clipped_share, max(0.6, 1.2 * high["clipped"])),
            min_evenness_along=_least_evenness(low["evenness_along"]),
            min_evenness_across=_least_evenness(low["evenness_across"]),
            min_contrast=0.4 * low["contrast"],
            min_grain=0.45 * low["grain"],
            max_grain=max(0.25, 2.0 * high["grain"]),
            min_sharpness=min(0.165, 0.9 * low["sharpness"]),
            # The square, because pictures of soft texture vary more.
            min_detail=min(0.15, 4.0 * max(0.0, low["detail"]) ** 2),
            max_equal_pictures=np.inf if self.repeated else 1,
        )


def _least_evenness(lowest: float) -> float:
    return 0.0 if lowest < _LEAST_EVENNESS else min(0.25, 0.5 * lowest)


class PictureCheck:
    """Compares one camera's pictures, in order, with given limits and with limits learned from the first ones.

    Two replays of the same pictures learn the same. A picture that fails a limit is not learned from.
    """

    def __init__(self, given: Mapping[str, float], learn_frames: int | None = LEARN_FRAMES) -> None:
        self._given = given
        self._learn_frames = learn_frames
        self._seen = _Extremes()
        self._recent: deque[tuple[float, Pixels, Pixels]] = deque(maxlen=RECENT)
        """Mean grey, measured pixels and all pixels of the newest pictures."""
        self._equal = 1
        self.newest: Measures | None = None
        """Measures of the newest picture."""
        self.limits = msgspec.structs.replace(Limits(), **given)
        self.learned = learn_frames == 0
        """Whether `limits` are final; always False when `learn_frames` is None."""

    @property
    def seen(self) -> int:
        """Pictures learned from so far."""
        return self._seen.count

    def learned_limits(self) -> Limits:
        """The given limits, completed with those learned so far from at least one picture."""
        return msgspec.structs.replace(self._seen.limits(), **self._given)

    def check(self, pixels: Pixels) -> Uninspected | None:
        """Why the next picture, uint8 [H, W], is not fit to inspect; None when it is."""
        measures, strip = measure(pixels, self.limits)
        self.newest = measures
        repeated = self._repeats(pixels, measures.strip_grey, strip)
        fault = self._judge(measures, strip)
        if not self.learned and fault is None:
            self._learn(measures, strip, repeated)
        return fault

    def _judge(self, found: Measures, strip: Pixels) -> Uninspected | None:
        limits = self.limits
        if found.light_grey < limits.min_light_grey:
            return DARK
        # A strip with too many saturated pixels is bright: skip the count for a darker one.
        may_clip = found.strip_grey >= limits.max_clipped_share * CLIPPED_GREY
        if found.strip_grey > limits.max_strip_grey or (
            may_clip and clipped_share(strip) > limits.max_clipped_share
        ):
            return BRIGHT
        if found.evenness_along < limits.min_evenness_along or found.evenness_across < limits.min_evenness_across:
            return UNEVEN
        if found.grain > limits.max_grain:
            return NOISY
        if found.sharpness < limits.min_sharpness or found.detail < limits.min_detail:
            return BLURRED
        if found.contrast < limits.min_contrast:
            return FLAT
        # Camera noise makes a blurred picture look sharp, but is weaker than the steel's own grain.
        if found.grain < limits.min_grain:
            return BLURRED
        return FROZEN if self._equal > limits.max_equal_pictures else None

    def _repeats(self, pixels: Pixels, grey: float, strip: Pixels) -> bool:
        """Whether nearly every pixel equals a recent picture's; comparing the mean greys first is cheap."""
        repeated = False
        for its_grey, its_strip, its_pixels in self._recent:
            if (
                abs(grey - its_grey) <= _GREY_STEP
                and _equal(strip[0], its_strip[0])
                and _equal(strip, its_strip)
                and _equal(pixels, its_pixels)
            ):
                repeated = True
                break
        self._recent.append((grey, strip, pixels))
        self._equal = self._equal + 1 if repeated else 1
        return repeated

    def _learn(self, measures: Measures, strip: Pixels, repeated: bool) -> None:
        self._seen.repeated |= repeated
        self._seen.add(measures, clipped_share(strip))
        if self._seen.count == self._learn_frames:
            self.limits, self.learned = self.learned_limits(), True
