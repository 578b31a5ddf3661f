"""Roll-mark alarms: a mark that has been seen often enough is an alarm, once, until its roll is changed."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from inspector.core.strip.periodic import ACROSS_MM, Roll, RollMark

_STAND: Final = re.compile(r"\bstand\s+([\w-]+)", re.IGNORECASE)


class RollAlarm(msgspec.Struct, frozen=True, tag="roll_mark", tag_field="event"):
    """A mark, as it was when it became an alarm."""

    text: str
    roll: str
    stand: str
    side: str
    name: str
    """Kind of its defects."""
    across_mm: float
    first_mm: float
    found_mm: float
    """Position of the turn that completed the alarm."""
    at_ns: int

    def is_of(self, mark: RollMark) -> bool:
        """Whether this mark made the alarm."""
        return (self.roll, self.stand, self.side, self.name) == (mark.roll, mark.stand, mark.side, mark.name) and (
            abs(self.across_mm - mark.across_mm) <= ACROSS_MM
        )


class RollsChanged(msgspec.Struct, frozen=True, tag="rolls_changed", tag_field="event"):
    """Somebody said that rolls were changed."""

    rolls: tuple[tuple[str, str], ...]
    """(name, stand) of each."""
    position_mm: float
    """The strip's position at that time."""
    at_ns: int
    said_by: str
    text: str = ""


def rolls_in(text: str, rolls: Sequence[Roll]) -> list[Roll]:
    """Return the rolls that a text about a roll change means: those of its stands ("stand 3"), or the named ones.

    A stand and a name together mean the roll of that name in that stand. An empty text, or one
    that begins with "all", means all rolls; another one means none, because a slip must not clear an alarm.
    """
    if text.casefold().split()[:1] in ([], ["all"]):
        return list(rolls)
    stands = {stand.casefold() for stand in _STAND.findall(text)}
    said = text.casefold()
    named = set()
    # The longest first: "roll 12" is not "roll 1", and "work roll top" not "work roll".
    for name in sorted({roll.name.casefold() for roll in rolls}, key=len, reverse=True):
        whole = rf"(?<![\w-]){re.escape(name)}(?:s|es)?(?![\w-])"
        if re.search(whole, said):
            named.add(name)
            said = re.sub(whole, " ", said)
    return [
        roll
        for roll in rolls
        if (stands or named)
        and (not stands or roll.stand.casefold() in stands)
        and (not named or roll.name.casefold() in named)
    ]


class RollAlarms:
    """The alarms that stand."""

    def __init__(self, turns: int, standing: Iterable[RollAlarm] = ()) -> None:
        """`turns` is how often a mark must have been seen; `standing` are the alarms of an earlier process."""
        self._turns = turns
        self._standing = list(standing)
        self._marks: dict[int, RollMark] = {}
        """Alarm's place in the list → the mark as it stands now."""

    def look(self, marks: Iterable[RollMark], at_ns: int) -> list[RollAlarm]:
        """Return the alarms that these marks raise; each is new until `add` is called with it."""
        new: list[RollAlarm] = []
        for mark in marks:
            if mark.hits < self._turns or mark.changed_mm is not None:
                continue
            known = next((n for n, alarm in enumerate(self._standing) if alarm.is_of(mark)), None)
            if known is not None:
                self._marks[known] = mark
            elif not any(alarm.is_of(mark) for alarm in new):
                new.append(
                    RollAlarm(
                        mark.text(), mark.roll, mark.stand, mark.side, mark.name, mark.across_mm, mark.first_mm,
                        mark.last_mm, at_ns,
                    )
                )  # fmt: skip
        return new

    def add(self, alarm: RollAlarm) -> None:
        """Keep an alarm, which stands from now on."""
        self._standing.append(alarm)

    def changed(self, event: RollsChanged) -> list[RollAlarm]:
        """Take a roll change; returns the alarms that it clears."""
        cleared = [alarm for alarm in self._standing if (alarm.roll, alarm.stand) in event.rolls]
        kept = [n for n, alarm in enumerate(self._standing) if alarm not in cleared]
        self._marks = {at: self._marks[n] for at, n in enumerate(kept) if n in self._marks}
        self._standing = [self._standing[n] for n in kept]
        return cleared

    @property
    def texts(self) -> list[str]:
        """One line for each alarm, with the turns seen so far; its place is the alarm's, which stays the same."""
        return [
            msgspec.structs.replace(self._marks[n], across_mm=each.across_mm).text()
            if n in self._marks
            else each.text
            for n, each in enumerate(self._standing)
        ]

    @property
    def standing(self) -> list[RollAlarm]:
        """The alarms, oldest first."""
        return list(self._standing)


__all__ = ["RollAlarm", "RollAlarms", "RollsChanged", "rolls_in"]
