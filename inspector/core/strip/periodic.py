"""Finds roll marks: defects of one kind at one place across that repeat after each turn of a roll.

A chain of defects is a mark when chance would hardly give such a chain in a hundred coils: see `chance`. That
depends on how dense defects of that kind and size lie there, and on how exactly the chain repeats itself. So three
marks are enough on clean steel, and dirty steel needs longer or more exact chains.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from inspector.core.strip.chance import Copy, log_false_alarms
from inspector.numbers import THIN_SPACE, thousands

ACROSS_MM: Final = 8.0
"""Largest distance across between a mark's centres, mm: masks are off by a few pixels, and the strip wanders."""

HIT_MM: Final = 7.0
"""Largest distance along between a mark and its turn, mm: errors of masks and of interpolated positions."""

AREA_RATIO: Final = 2.0
"""Areas of one roll's marks differ by less than this factor."""

LOOK_BACK_TURNS: Final = 8
"""Most turns that a chain may span before it is found."""

LEAST_HITS: Final = 3

FALSE_PER_COIL: Final = 0.005
"""Expected number of random chains in a coil of COIL_MM, over all rolls, by the estimate of `chance`."""

EARLY_TURNS: Final = 4
EARLY_SHARE: Final = 0.95
"""Share of FALSE_PER_COIL for chains that span at most EARLY_TURNS: a mark is to be found within five turns."""

THREE_SHARE: Final = 0.9
"""Share for chains of three marks. Longer ones hardly ever come by chance, and need little."""

COIL_MM: Final = 2e6

DENSITY_MM: Final = 40_000.0
"""Length over which the density of defects is measured."""

LEAST_DENSITY_MM: Final = 10_000.0
"""Shortest length for the density, so that the first defects of a strip do not count as dense."""

LOST_TURNS: Final = 10
"""A mark that was missed for this many turns has ended."""


class Roll(msgspec.Struct, frozen=True):
    """One roll that may leave marks."""

    name: str
    period_mm: float
    """Its circumference as it lies on the strip at the cameras."""
    stand: str = ""
    side: str = "top"


def period_mm(diameter_mm: float, elongation: float) -> float:
    """Length of one turn on the strip: π·d times the elongation after this roll."""
    return math.pi * diameter_mm * elongation


class RollMark(msgspec.Struct):
    """One roll mark, up to its newest turn."""

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
    """Position at which it was found."""
    changed_mm: float | None = None
    """Position of the roll change that ended it."""

    @property
    def turns(self) -> int:
        """Number of turns from the first to the newest, both included."""
        return round((self.last_mm - self.first_mm) / self.period_mm) + 1

    def may_be(self, other: "RollMark") -> bool:
        """Whether another chain is this mark: an unrelated defect at its place may have spoilt its period."""
        same = (self.roll, self.stand, self.side, self.name) == (other.roll, other.stand, other.side, other.name)
        lost_mm = self.last_mm + LOST_TURNS * self.period_mm
        ended = self.changed_mm is not None and other.first_mm > self.changed_mm
        return (
            same and not ended and abs(self.across_mm - other.across_mm) <= ACROSS_MM and other.first_mm <= lost_mm
        )

    def correct(self, other: "RollMark", before_mm: float) -> None:
        """Take over a chain of this mark that knows more; `before_mm` is where its last copy but one lies."""
        missed = before_mm > self.last_mm
        if not missed and other.hits <= self.hits:
            return
        if other.hits >= self.hits:
            self.first_mm, self.across_mm = other.first_mm, other.across_mm
        self.period_mm, self.last_mm, self.hits = other.period_mm, other.last_mm, max(self.hits, other.hits)

    def text(self, head_mm: float = 0.0) -> str:
        """One readable line; the way is counted from `head_mm`."""
        stand = f", stand {self.stand}" if self.stand else ""
        from_head_m = (self.first_mm - head_mm) / 1000
        since = f"{_grouped(abs(from_head_m))} m{' before this coil' if from_head_m < 0 else ''}"
        return (
            f"roll mark, {self.roll}{stand}, {_grouped(self.period_mm)} mm, "
            f"since {since}, {self.hits} of {self.turns} turns "
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
    """Finds the marks among defects that are added in roughly their order along the strip."""

    def __init__(self, rolls: Sequence[Roll], tolerance: float, width_mm: float) -> None:
        """`tolerance` is the share by which a period may differ from its roll's; `width_mm` is the strip's."""
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
        """Add a defect; returns the mark that it reveals, if any."""
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
        if best is None:
            return None
        mark, before_mm = best
        known = next((each for each in reversed(self.marks) if each.may_be(mark)), None)
        if known is not None:
            known.correct(mark, before_mm)
            return None
        self.marks.append(mark)
        return mark

    def _continues(self, side: str, name: str, spot: Spot) -> bool:
        """Return whether it is the next turn of a known mark."""
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
    ) -> tuple[RollMark, float] | None:
        """The chain that chance explains least, and where its last copy but one lies."""
        all_ordered = sorted(alike, key=lambda each: each.along_mm)
        per_mm = self._density(spot, alike, spots)
        per_mm2 = per_mm / (2 * ACROSS_MM * 2 * math.log(AREA_RATIO))
        tests = self._tests(side, spot.along_mm) * len(self._rolls)
        best: tuple[float, RollMark, float] | None = None
        for roll in self._rolls:
            if roll.side != side:
                continue
            changed_mm = self._changed.get((roll.name, roll.stand))
            gone = changed_mm is not None and spot.along_mm <= changed_mm
            from_mm = -math.inf if changed_mm is None or gone else changed_mm
            ordered = all_ordered[bisect_right(all_ordered, from_mm, key=lambda each: each.along_mm) :]
            places = [each.along_mm for each in ordered]
            for turns in range(1, LOOK_BACK_TURNS):
                first, last = _between(places, spot.along_mm, turns * roll.period_mm, self._tolerance)
                for index in range(first, last):
                    period = (spot.along_mm - places[index]) / turns
                    chain = _chain(ordered, places, index, spot, turns)
                    if len(chain) < LEAST_HITS:
                        continue
                    window_mm = 2 * (self._tolerance * roll.period_mm * turns + HIT_MM)
                    chance = log_false_alarms(chain, per_mm2, window_mm) + math.log(
                        tests * _patterns(turns, len(chain) - 1)
                    )
                    if chance < math.log(FALSE_PER_COIL) and (best is None or chance < best[0]):
                        mark = RollMark(
                            roll.name, roll.stand, side, name, period, spot.across_mm, places[index],
                            spot.along_mm, len(chain), spot.along_mm, changed_mm if gone else None,
                        )  # fmt: skip
                        best = (chance, mark, chain[-2].along_mm)
        return None if best is None else best[1:]

    def _tests(self, side: str, at_mm: float) -> float:
        """Defects of all kinds in a coil as dense as the last DENSITY_MM: each one may begin a chain."""
        count, from_mm = 0, at_mm - DENSITY_MM
        for (of_side, _), spots in self._spots.items():
            if of_side == side:
                count += len(spots) - bisect_left(spots, from_mm, key=lambda each: each.along_mm)
        return max(100.0, count * COIL_MM / DENSITY_MM)

    def _density(self, spot: Spot, alike: Sequence[Spot], spots: Sequence[Spot]) -> float:
        """Density of similar defects per mm along, near this place across or averaged over the width."""
        from_mm = spot.along_mm - DENSITY_MM
        length_mm = min(DENSITY_MM, max(LEAST_DENSITY_MM, spot.along_mm - spots[0].along_mm))
        here = sum(each.along_mm >= from_mm for each in alike)
        everywhere = sum(each.along_mm >= from_mm and _alike_area(each, spot) for each in spots) * (
            2 * ACROSS_MM / self._width_mm
        )
        # The chain's own defects do not count.
        others = max(0, here - LOOK_BACK_TURNS)
        return max(float(others), everywhere, 0.1) / length_mm


def _alike(one: Spot, other: Spot) -> bool:
    return abs(one.across_mm - other.across_mm) <= ACROSS_MM and _alike_area(one, other)


def _alike_area(one: Spot, other: Spot) -> bool:
    small, large = sorted((max(one.area_mm2, 1e-6), max(other.area_mm2, 1e-6)))
    return large < AREA_RATIO * small


def _between(places: Sequence[float], at_mm: float, back_mm: float, tolerance: float) -> tuple[int, int]:
    """First and last place, as a range, that may lie one or more turns of a roll before this one."""
    reach_mm = tolerance * back_mm + HIT_MM
    first = bisect_left(places, at_mm - back_mm - reach_mm)
    return first, bisect_left(places, at_mm - back_mm + reach_mm)


def _chain(ordered: Sequence[Spot], places: Sequence[float], index: int, spot: Spot, turns: int) -> list[Copy]:
    """The defects at the turns between one place and this one, both included; the nearest one of each turn."""
    period = (spot.along_mm - places[index]) / turns
    found = [_copy(0, ordered[index])]
    for turn in range(1, turns):
        wanted = places[index] + turn * period
        near = bisect_left(places, wanted - HIT_MM)
        past = bisect_left(places, wanted + HIT_MM)
        if near < past:
            closest = min(ordered[near:past], key=lambda each: abs(each.along_mm - wanted))
            found.append(_copy(turn, closest))
    found.append(_copy(turns, spot))
    return found


def _copy(turn: int, spot: Spot) -> Copy:
    return Copy(turn, spot.along_mm, spot.across_mm, math.log(max(spot.area_mm2, 1e-6)))


def _patterns(turns: int, others: int) -> float:
    """Number of chains of so many copies beside the newest one that are tested, by their share of the chance."""
    early = turns <= EARLY_TURNS
    spans = range(1, EARLY_TURNS + 1) if early else range(EARLY_TURNS + 1, LOOK_BACK_TURNS)
    by_span = EARLY_SHARE if early else 1.0 - EARLY_SHARE
    longer = others - (LEAST_HITS - 1)
    by_length = THREE_SHARE if not longer else (1.0 - THREE_SHARE) / 2.0**longer
    return sum(math.comb(span - 1, others - 1) for span in spans) / (by_span * by_length)
