"""Roll marks on the line: raises their alarms, keeps them over restarts, and takes roll changes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from inspector.config.strip import StripSettings
from inspector.core.strip.coils import EventRefusedError
from inspector.core.strip.periodic import Roll, RollMarks, period_mm
from inspector.core.strip.roll_alarms import RollAlarm, RollAlarms, RollsChanged, rolls_in
from inspector.core.strip.surface import View
from inspector.strip.journal import Journal

log = structlog.get_logger()


def find_marks(settings: StripSettings, views: Mapping[str, View]) -> tuple[list[Roll], RollMarks]:
    """The rolls of a line, and the search for their marks in what its cameras see."""
    edges = [edge for view in views.values() for edge in view.across(0, view.width_px)]
    rolls = [
        Roll(roll.name, period_mm(roll.diameter_mm, roll.elongation), roll.stand, roll.side)
        for roll in settings.rolls
    ]
    return rolls, RollMarks(rolls, settings.roll_tolerance, max(edges) - min(edges))


class RollEvents:
    """The rolls, their marks and alarms. Not thread-safe: the process's main thread uses it."""

    def __init__(
        self,
        journal: Journal,
        rolls: Sequence[Roll],
        marks: RollMarks,
        turns: int,
        position_mm: Callable[[], float],
    ) -> None:
        """`position_mm` gives the strip's position now."""
        self._journal, self._rolls, self._position_mm = journal, rolls, position_mm
        self.marks = marks
        for event in journal.rolls:
            if isinstance(event, RollsChanged):
                marks.changed(event.rolls, event.position_mm)
        self._alarms = RollAlarms(turns, _standing(journal.rolls))

    def look(self) -> None:
        """Raise new alarms. Raises OSError when the disk refuses one; the next call tries it again."""
        for alarm in self._alarms.look(self.marks.marks, time.time_ns()):
            self._journal.write(alarm)
            self._alarms.add(alarm)
            log.warning("roll mark", what=alarm.text)

    def changed(self, text: str, said_by: str, position_mm: float | None = None) -> dict[str, Any]:
        """Take a roll change; returns the alarms that it cleared. Raises EventRefusedError, OSError."""
        meant = rolls_in(text, self._rolls)
        if not meant:
            known = ", ".join(sorted({f"{roll.name} of stand {roll.stand}" for roll in self._rolls})) or "none"
            raise EventRefusedError(f"roll change {text!r}: no roll of strip.rolls is meant; it has: {known}")
        at_mm = self._position_mm() if position_mm is None else position_mm
        keys = tuple((roll.name, roll.stand) for roll in meant)
        event = RollsChanged(keys, at_mm, time.time_ns(), said_by, text)
        self._journal.write(event)
        self.marks.changed(event.rolls, at_mm)
        cleared = [alarm.text for alarm in self._alarms.changed(event)]
        log.info("rolls changed", rolls=len(meant), at_m=round(at_mm / 1000, 3), cleared=cleared, said_by=said_by)
        return {"rolls": [f"{roll.name}, stand {roll.stand}" if roll.stand else roll.name for roll in meant],
                "position_mm": at_mm, "cleared": cleared}  # fmt: skip

    @property
    def texts(self) -> list[str]:
        """One line for each alarm that stands."""
        return self._alarms.texts

    @property
    def standing(self) -> list[RollAlarm]:
        """The alarms that stand, oldest first."""
        return self._alarms.standing


def _standing(events: Sequence[RollAlarm | RollsChanged]) -> list[RollAlarm]:
    standing: list[RollAlarm] = []
    for event in events:
        if isinstance(event, RollAlarm):
            standing.append(event)
        else:
            standing = [alarm for alarm in standing if (alarm.roll, alarm.stand) not in event.rolls]
    return standing
