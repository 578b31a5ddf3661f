"""Finds roll marks: defects of one kind, at one place across, that come back after one turn of a roll.

A chain of defects is a mark when chance would hardly give such a chain in a hundred coils. The chance follows from
how dense defects of that kind and size lie there, so dirty steel needs longer chains than clean steel.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from inspector.numbers import THIN_SPACE, thousands

ACROSS_MM: Final = 6.0
"""A mark's centres lie this near across: masks are off by a few pixels, and the strip wanders."""

HIT_MM: Final = 5.0
"""How near a mark lies to its turn: masks, and the encoder between two samples."""

AREA_RATIO: Final = 2.0
"""Marks of one roll are alike: their areas differ by less than this factor."""

LOOK_BACK_TURNS: Final = 8
"""Turns that a chain may span before it is found."""

LEAST_HITS: Final = 3

FALSE_PER_COIL: Final = 0.005
"""Expected chains by chance in a coil of COIL_MM, over all rolls."""

COIL_MM: Final = 2e6

DENSITY_MM: Final = 40_000.0
"""Length over which the density of defects is counted."""

LEAST_DENSITY_MM: Final = 10_000.0
"""Shortest length over which it is counted: a strip that has just begun is not dense by its first defects."""

LOST_TURNS: Final = 10
"""A mark that was not seen for so many turns has ended."""


class Roll(msgspec.Struct, frozen=True):
    """One roll that may leave marks."""

    name: str
    period_mm: float
    """Its circumference as it lies on the strip at the cameras."""
    stand: str = ""
    side: str = "top"


def period_mm(diameter_mm: float, elongation: float) -> float:
    """One turn on the strip: π·d, lengthened by what is rolled after this roll."""
    return math.pi * diameter_mm * elongation


class RollMark(msgspec.Struct):
    """One mark, up to its newest turn."""

    roll: str
    stand: str
    side: str
    name: str
    """Kind of its defects."""
    period_mm: float
    across_mm: float
    first_mm: float
    last_mm: float
    hits: int
    found_mm: float
    """Where it was found."""
    changed_mm: float | None = None
    """Where its roll was changed, which ended it."""

    @property
    def turns(self) -> int:
        """Turns from the first to the newest one, both included."""
        return round((self.last_mm - self.first_mm) / self.period_mm) + 1

    def text(self, head_mm: float = 0.0) -> str:
        """One readable line; the way is counted from `head_mm`."""
        stand = f", stand {self.stand}" if self.stand else ""
        return (
            f"roll mark, {self.roll}{stand}, {_grouped(self.period_mm)} mm, "
            f"since {_grouped((self.first_mm - head_mm) / 1000)} m, {self.hits} of {self.turns} turns "
            f"({self.name}, {self.across_mm:.0f} mm across)"
        )


def _grouped(value: float) -> str:
    """Digits in groups, with a space that logs and telegrams have."""
    return thousands(value).replace(THIN_SPACE, " ")


class Spot(msgspec.Struct, frozen=True):
    """A defect as the search sees it."""

    along_mm: float
    across_mm: float
    area_mm2: float


class RollMarks:
    """Takes new defects in about their order along the strip, and keeps the marks."""

    def __init__(self, rolls: Sequence[Roll], tolerance: float, width_mm: float) -> None:
        """`tolerance`: share by which a period may differ from its roll's; `width_mm`: of the strip."""
        self._rolls, self._tolerance, self._width_mm = rolls, tolerance, max(width_mm, 4 * ACROSS_MM)
        self._spots: dict[tuple[str, str], list[Spot]] = {}
        self._longest_mm = max((roll.period_mm for roll in rolls), default=0.0) * (LOOK_BACK_TURNS + 1)
        self.marks: list[RollMark] = []
        self._changed: dict[tuple[str, str], float] = {}
        """(name, stand) → where that roll was changed last."""

    def changed(self, rolls: Collection[tuple[str, str]], at_mm: float) -> None:
        """These rolls, (name, stand) each, were changed here: their marks end, and a new one begins after here."""
        self._changed |= dict.fromkeys(rolls, at_mm)
        for mark in self.marks:
            if (mark.roll, mark.stand) in rolls and mark.changed_mm is None:
                mark.changed_mm = at_mm

    def add(self, side: str, name: str, spot: Spot) -> RollMark | None:
        """Take a defect; returns the mark that it reveals, if any."""
        spots = self._spots.setdefault((side, name), [])
        place = bisect_left(spots, spot.along_mm, key=lambda each: each.along_mm)
        spots.insert(place, spot)
        keep_mm = spot.along_mm - max(self._longest_mm, DENSITY_MM)
        if spots[0].along_mm < keep_mm - DENSITY_MM:
            del spots[: bisect_left(spots, keep_mm, key=lambda each: each.along_mm)]
        if self._continues(side, name, spot):
            return None
        alike = [each for each in spots if _alike(each, spot) and each is not spot]
        if len(alike) < LEAST_HITS - 1:
            return None
        best = self._best(side, name, spot, alike, spots)
        if best is not None:
            self.marks.append(best)
        return best

    def _continues(self, side: str, name: str, spot: Spot) -> bool:
        """Whether it is the next turn of a mark that is known."""
        for mark in self.marks:
            if (mark.side, mark.name) != (side, name) or abs(mark.across_mm - spot.across_mm) > ACROSS_MM:
                continue
            if mark.changed_mm is not None and spot.along_mm > mark.changed_mm:
                continue
            turns = (spot.along_mm - mark.last_mm) / mark.period_mm
            off_mm = abs(turns - round(turns)) * mark.period_mm
            if 0 <= round(turns) <= LOST_TURNS and off_mm <= HIT_MM * max(1.0, math.sqrt(max(turns, 0.0))):
                if round(turns) >= 1:
                    mark.hits += 1
                    # The period is known better with each turn.
                    mark.last_mm = spot.along_mm
                    mark.period_mm = (mark.last_mm - mark.first_mm) / max(
                        1, round((mark.last_mm - mark.first_mm) / mark.period_mm)
                    )
                return True
        return False

    def _best(
        self, side: str, name: str, spot: Spot, alike: Sequence[Spot], spots: Sequence[Spot]
    ) -> RollMark | None:
        every_place = sorted(each.along_mm for each in alike)
        per_mm = self._density(spot, alike, spots)
        tests = max(100.0, per_mm * COIL_MM * self._width_mm / (2 * ACROSS_MM)) * len(self._rolls)
        best: tuple[float, RollMark] | None = None
        for roll in self._rolls:
            if roll.side != side:
                continue
            changed_mm = self._changed.get((roll.name, roll.stand))
            gone = changed_mm is not None and spot.along_mm <= changed_mm
            from_mm = -math.inf if changed_mm is None or gone else changed_mm
            places = every_place[bisect_right(every_place, from_mm) :]
            for turns in range(1, LOOK_BACK_TURNS):
                for place in _between(places, spot.along_mm, turns * roll.period_mm, self._tolerance):
                    period = (spot.along_mm - place) / turns
                    hits = _hits(places, spot.along_mm, period)
                    if len(hits) + 1 < LEAST_HITS:
                        continue
                    chance = tests * _by_chance(hits, per_mm, 2 * self._tolerance * roll.period_mm)
                    if chance < FALSE_PER_COIL and (best is None or chance < best[0]):
                        first_mm = spot.along_mm - max(hits) * period
                        mark = RollMark(
                            roll.name, roll.stand, side, name, period, spot.across_mm, first_mm, spot.along_mm,
                            len(hits) + 1, spot.along_mm, changed_mm if gone else None,
                        )  # fmt: skip
                        best = (chance, mark)
        return None if best is None else best[1]

    def _density(self, spot: Spot, alike: Sequence[Spot], spots: Sequence[Spot]) -> float:
        """Defects like this one per mm along, within reach across: there, or on the whole width."""
        from_mm = spot.along_mm - DENSITY_MM
        length_mm = min(DENSITY_MM, max(LEAST_DENSITY_MM, spot.along_mm - spots[0].along_mm))
        here = sum(each.along_mm >= from_mm for each in alike)
        everywhere = sum(each.along_mm >= from_mm and _alike_area(each, spot) for each in spots) * (
            2 * ACROSS_MM / self._width_mm
        )
        # Those of the chain itself do not count against it.
        others = max(0, here - LOOK_BACK_TURNS)
        return max(float(others), everywhere, 0.1) / length_mm


def _alike(one: Spot, other: Spot) -> bool:
    return abs(one.across_mm - other.across_mm) <= ACROSS_MM and _alike_area(one, other)


def _alike_area(one: Spot, other: Spot) -> bool:
    small, large = sorted((max(one.area_mm2, 1e-6), max(other.area_mm2, 1e-6)))
    return large < AREA_RATIO * small


def _between(places: Sequence[float], at_mm: float, back_mm: float, tolerance: float) -> Sequence[float]:
    reach_mm = tolerance * back_mm + HIT_MM
    first = bisect_left(places, at_mm - back_mm - reach_mm)
    return places[first : bisect_left(places, at_mm - back_mm + reach_mm)]


def _hits(places: Sequence[float], at_mm: float, period: float) -> list[int]:
    """The turns before this place at which a defect lies."""
    found = []
    for turn in range(1, LOOK_BACK_TURNS):
        wanted = at_mm - turn * period
        first = bisect_left(places, wanted - HIT_MM)
        if first < len(places) and places[first] <= wanted + HIT_MM:
            found.append(turn)
    return found


def _by_chance(hits: Sequence[int], per_mm: float, window_mm: float) -> float:
    """Probability that defects at random lie like this: one anywhere in the tolerance, the others on its turns."""
    turns, others = max(hits), len(hits) - 1
    first = min(1.0, per_mm * (window_mm * turns + 2 * HIT_MM))
    each = min(1.0, per_mm * 2 * HIT_MM)
    return turns * first * math.comb(turns - 1, others) * each**others
