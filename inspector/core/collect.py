"""Chooses frames of a running line for review: rejects, uncertain ones, and random ones.

Each policy has a quota a day. Random frames are drawn by lot with a known chance, which an estimate needs; the
others are spread over the day, and a frame whose main defect looks like a kept one's is left out.
"""

import math
import random
from collections import deque
from typing import Final

import cv2
import msgspec
import numpy as np

from inspector.values import MAX_SCORE, Decision, Defect, Pixels, Verdict

REJECT, UNCERTAIN, RANDOM = "reject", "uncertain", "random"

UNCERTAIN_BELOW: Final = 0.5
"""A frame is uncertain if its surest defect lies in the lower half between its threshold and 1."""

NEARLY: Final = 0.7
"""An accepted frame is uncertain if a defect would be found at 0.7 of the lowest threshold."""

NEARLY_CELLS: Final = 4
"""Least cells of the score map at that level: noise raises single cells everywhere."""

SPREAD_S: Final = 8 * 3600.0
"""A day's quota is spread over a shift, because many lines run one."""

BURST_SHARE: Final = 0.05
"""Share of the quota that may be used at once: the first frames come without a wait."""

RATE_S: Final = 1800.0
"""Time constant of the measured rates of accepts and rejects, seconds."""

FIRST_RATE_PER_S: Final = 1.0
FIRST_S: Final = 10.0
"""Least rate assumed in the first seconds, before any was measured."""

DAY_S: Final = 86_400.0

LOOK_PX: Final = 32
LOOK_MARGIN_PX: Final = 16
LOOK_COEFFICIENTS: Final = 8
ALIKE_BITS: Final = 10
"""Most different bits, of 63, of two look-alikes; crops of unrelated defects differ in 32 ± 4."""

REMEMBERED: Final = 300
"""Kept defects that a new one is compared with."""


class Chosen(msgspec.Struct, frozen=True):
    """Why a frame is kept."""

    policy: str
    chance: float | None = None
    """Probability with which a random frame of its decision was drawn at that time."""


class Quota:
    """A number of frames a day, spread over a shift."""

    def __init__(self, a_day: int) -> None:
        self.a_day = a_day
        self._burst = max(1.0, a_day * BURST_SHARE) if a_day else 0.0
        self._tokens = self._burst
        self._at_s: float | None = None
        self._day = -1
        self._used = 0

    def has(self, now_s: float, day: int) -> bool:
        """Whether one more frame may be kept now."""
        if day != self._day:
            self._day, self._used = day, 0
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self.a_day / SPREAD_S)
        self._at_s = now_s
        return self._used < self.a_day and self._tokens >= 1.0

    def take(self) -> None:
        """Count a kept frame."""
        self._tokens -= 1.0
        self._used += 1


class _Rate:
    """Frames a second, over the last half hour."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._began_s: float | None = None
        self._at_s = 0.0

    def add(self, now_s: float) -> None:
        if self._began_s is None:
            self._began_s = self._at_s = now_s
        self._sum = self._sum * math.exp(-max(0.0, now_s - self._at_s) / RATE_S) + 1.0 / RATE_S
        self._at_s = now_s

    @property
    def seen(self) -> float:
        """Frames of the last half hour, the older ones counted as less."""
        return self._sum * RATE_S

    def per_s(self) -> float:
        """0.0 before the first frame; at least FIRST_RATE_PER_S in the first seconds, which say little."""
        if self._began_s is None:
            return 0.0
        gone_s = self._at_s - self._began_s
        if gone_s < FIRST_S:
            return max(FIRST_RATE_PER_S, self._sum)
        return self._sum / (1.0 - math.exp(-gone_s / RATE_S))


class _Lot:
    """Draws frames of one decision with a chance that follows how many there are, and never what they show."""

    def __init__(self, a_day: int, seed: int | None) -> None:
        self._a_day = a_day
        self._random = random.Random(seed)  # noqa: S311 (which steel is sampled is no secret)
        self._all, self._pictured = _Rate(), _Rate()

    def pass_by(self, now_s: float) -> None:
        """Count a frame that came without its picture."""
        self._all.add(now_s)

    def draw(self, now_s: float) -> float | None:
        """The chance with which this frame was drawn, the picture's included; None if it was not."""
        # Taken before this frame is counted: its chance depends on earlier frames only.
        share = self._pictured.seen / self._all.seen if self._pictured.seen else 1.0
        rate_per_s = self._all.per_s() or FIRST_RATE_PER_S
        chance = min(share, self._a_day / (SPREAD_S * rate_per_s))
        self._all.add(now_s)
        self._pictured.add(now_s)
        return chance if self._a_day and self._random.random() < chance / share else None


class Collector:
    """Chooses frames of a line as they come."""

    def __init__(
        self,
        thresholds: Pixels,
        *,
        rejects: int,
        uncertain: int,
        random_accepts: int,
        random_rejects: int,
        seed: int | None = None,
    ) -> None:
        """`thresholds` are the recipe's, uint8 [K+1], in score steps; the rest are frames a day."""
        self._thresholds = thresholds
        self._quotas = {REJECT: Quota(rejects), UNCERTAIN: Quota(uncertain)}
        self._lots = {
            Decision.ACCEPT: _Lot(random_accepts, seed),
            Decision.REJECT: _Lot(random_rejects, None if seed is None else seed + 1),
        }
        self._kept: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        """Kind and look of the main defects kept."""
        self.alike = 0
        """Frames left out because their main defect looks like a kept one's."""

    def pass_by(self, verdict: Verdict, now_s: float) -> None:
        """Count a frame that came without its picture."""
        lot = self._lots.get(verdict.decision)
        if lot is not None:
            lot.pass_by(now_s)

    def choose(
        self, verdict: Verdict, pixels: Pixels, score: Pixels | None, now_s: float, day: int
    ) -> Chosen | None:
        """Whether to keep this frame. `score` is its score map, `now_s` a monotonic clock, `day` counts days."""
        lot = self._lots.get(verdict.decision)
        if lot is None:
            return None
        chance = lot.draw(now_s)
        if chance is not None:
            return Chosen(RANDOM, chance)
        policy = self._policy(verdict, score)
        if policy is None or not self._quotas[policy].has(now_s, day):
            return None
        if verdict.defects:
            main = max(verdict.defects, key=lambda defect: defect.area_px)
            look = _look(pixels, main)
            if any(kind == main.kind and (look ^ other).bit_count() <= ALIKE_BITS for kind, other in self._kept):
                self.alike += 1
                return None
            self._kept.append((main.kind, look))
        self._quotas[policy].take()
        return Chosen(policy)

    def _policy(self, verdict: Verdict, score: Pixels | None) -> str | None:
        if verdict.defects:
            sure = max(self._certainty(defect) for defect in verdict.defects)
            if verdict.decision is Decision.ACCEPT or sure < UNCERTAIN_BELOW:
                return UNCERTAIN
            return REJECT
        if verdict.decision is Decision.REJECT:
            return REJECT
        level = NEARLY * int(self._thresholds[1:].min())
        if score is not None and int(np.count_nonzero(score >= level)) >= NEARLY_CELLS:
            return UNCERTAIN
        return None

    def _certainty(self, defect: Defect) -> float:
        """Place of a defect's mean score between its threshold (0) and 1 (1)."""
        known = defect.kind < len(self._thresholds)
        threshold = int(self._thresholds[defect.kind]) / MAX_SCORE if known else 0.5
        return (defect.score - threshold) / max(1e-6, 1.0 - threshold)


def _look(pixels: Pixels, defect: Defect) -> int:
    """63 bits, mostly equal for look-alikes: signs of a defect's lowest cosine coefficients, with surroundings."""
    x, y, width, height = defect.box
    crop = pixels[
        max(0, y - LOOK_MARGIN_PX) : y + height + LOOK_MARGIN_PX,
        max(0, x - LOOK_MARGIN_PX) : x + width + LOOK_MARGIN_PX,
    ]
    small = cv2.resize(np.ascontiguousarray(crop), (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA)
    signs = cv2.dct(small.astype(np.float32))[:LOOK_COEFFICIENTS, :LOOK_COEFFICIENTS].ravel()[1:] > 0
    return int.from_bytes(np.packbits(signs).tobytes(), "big")
