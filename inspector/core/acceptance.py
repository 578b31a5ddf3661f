"""Escape and overkill of a line in service, from random accepts and rejects that people reviewed.

Nobody knows the truth of every frame. But each decision is a stratum of known size, and the reviewed frames say
what share of it is defective. The interval comes from draws of both shares: exact (Clopper-Pearson) limits of
each, combined so that it covers at least what it states. It needs no library.
"""

import random
from collections.abc import Sequence
from typing import Final

import msgspec

CONFIDENCE: Final = 0.95

DRAWS: Final = 20_000
"""Draws for a quantile: the 2.5 % quantile is then exact to a hundredth of the interval."""

SEED: Final = 2632
"""The same sample gives the same report."""


class Reviewed(msgspec.Struct, frozen=True):
    """One reviewed frame of the sample."""

    defective: bool
    chance: float
    """With which it was drawn."""


class Stratum(msgspec.Struct, frozen=True):
    """All frames with one decision."""

    frames: int
    drawn: int
    """Frames of the sample, reviewed or not."""
    reviewed: int
    defective: int
    """Of the reviewed frames."""
    share: float | None
    """Estimated share of defective frames, weighed by the chances; None without a reviewed frame."""
    effective: float
    """Number of frames, drawn with one chance, that would say as much."""


class Estimate(msgspec.Struct, frozen=True):
    """A share with its interval."""

    share: float | None
    low: float
    high: float


class Acceptance(msgspec.Struct, frozen=True):
    """The line's estimates from the sample."""

    accepts: Stratum
    rejects: Stratum
    escape: Estimate
    """Accepted share of the defective frames."""
    overkill: Estimate
    """Rejected share of the sound frames."""
    confidence: float = CONFIDENCE


def stratum(frames: int, drawn: int, sample: Sequence[Reviewed]) -> Stratum:
    """Sum up the sample of one decision."""
    weights = [1.0 / each.chance for each in sample]
    total = sum(weights)
    defective = sum(weight for weight, each in zip(weights, sample, strict=True) if each.defective)
    return Stratum(
        frames=frames,
        drawn=drawn,
        reviewed=len(sample),
        defective=sum(each.defective for each in sample),
        share=defective / total if sample else None,
        # L. Kish, Survey Sampling (1965): frames drawn with unequal chances say less.
        effective=total * total / sum(weight * weight for weight in weights) if sample else 0.0,
    )


def accept(accepts: Stratum, rejects: Stratum) -> Acceptance:
    """Estimate escape and overkill."""
    source = random.Random(SEED)  # noqa: S311 (draws of an estimate)
    escapes: tuple[list[float], list[float]] = ([], [])
    overkills: tuple[list[float], list[float]] = ([], [])
    for _ in range(DRAWS):
        for side, (of_accepts, of_rejects) in enumerate(((0, 1), (1, 0))):
            # Both shares rise with defects among accepts, and fall with defects among rejects.
            missed = _limit(accepts, of_accepts, source)
            found = _limit(rejects, of_rejects, source)
            escape, overkill = _shares(accepts.frames, rejects.frames, missed, found)
            escapes[side].append(escape)
            overkills[side].append(overkill)
    escape_now = overkill_now = None
    if accepts.share is not None and rejects.share is not None:
        escape_now, overkill_now = _shares(accepts.frames, rejects.frames, accepts.share, rejects.share)
    return Acceptance(accepts, rejects, _estimate(escape_now, escapes), _estimate(overkill_now, overkills))


def _limit(of: Stratum, upper: int, source: random.Random) -> float:
    """A draw of the lower or upper limit of a stratum's defective share."""
    if not of.frames:
        return 0.0
    if of.share is None:
        return float(upper)
    defective = of.share * of.effective
    first, second = defective + upper, of.effective - defective + 1 - upper
    if first <= 0.0:
        return 0.0
    return 1.0 if second <= 0.0 else source.betavariate(first, second)


def _shares(accepts: int, rejects: int, missed: float, found: float) -> tuple[float, float]:
    """Escape and overkill for defective shares of accepts and rejects."""
    escaped, caught = accepts * missed, rejects * found
    passed, overkilled = accepts * (1.0 - missed), rejects * (1.0 - found)
    escape = escaped / (escaped + caught) if escaped + caught > 0.0 else 0.0
    overkill = overkilled / (passed + overkilled) if passed + overkilled > 0.0 else 0.0
    return escape, overkill


def _estimate(share: float | None, draws: tuple[list[float], list[float]]) -> Estimate:
    low, high = sorted(draws[0]), sorted(draws[1])
    tail = round((1.0 - CONFIDENCE) / 2.0 * DRAWS)
    limits = low[tail], high[-1 - tail]
    if share is not None:
        # Rounding of draws must not leave the estimate outside.
        limits = min(limits[0], share), max(limits[1], share)
    return Estimate(share, *limits)
