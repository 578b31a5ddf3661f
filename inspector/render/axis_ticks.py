"""Round numbers on the axes of maps and charts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from inspector.numbers import thousands

TICK_ROOM_PCT: Final = 9
"""Part of the axis next to each end that stays free for the end's label, per cent."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled tick on an axis."""

    at_pct: float
    label: str


def ticks(start: float, length: float, wanted: int) -> tuple[Tick, ...]:
    """Return ticks at round numbers, at most `wanted` + 1 of them."""
    step = _round_step(length / wanted)
    digits = max(0, -math.floor(math.log10(step)))
    return tuple(
        Tick(100 * (value - start) / length, thousands(value, digits))
        for value in _multiples(start, start + length, step)
    )


def end_ticks(start: float, length: float, wanted: int, least_digits: int = 0) -> tuple[Tick, ...]:
    """Return ticks at both ends of an axis, and at round numbers between that do not touch the end labels."""
    inner = [tick for tick in ticks(start, length, wanted) if TICK_ROOM_PCT < tick.at_pct < 100 - TICK_ROOM_PCT]
    digits = 0 if float(length).is_integer() and float(start).is_integer() else least_digits
    first, last = thousands(start, digits if start else 0), thousands(start + length, digits)
    return Tick(0.0, first), *inner, Tick(100.0, last)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def _multiples(start: float, end: float, step: float) -> Iterator[float]:
    for n in range(math.ceil(start / step - 1e-9), math.floor(end / step + 1e-3) + 1):
        yield n * step
