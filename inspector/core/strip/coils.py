"""The coils of a strip as intervals of its position. Each event is checked before it is applied."""

from typing import Final

import msgspec

SAME_PLACE_MM: Final = 1.0
"""Starts and ends closer than this count as the same place, mm."""


AHEAD_MM: Final = 1_000_000.0
BEHIND_MM: Final = 10_000_000.0
"""How far from the strip's position a stated head or tail may lie, mm: a coil is announced within the line's
length, and reported while its frames are at hand. A wrong place far ahead would refuse every coil until the strip
gets there."""

REMEMBERED: Final = 8
"""Number of newest coils whose repeated events are recognised."""


class CoilData(msgspec.Struct, frozen=True):
    """A coil's data from Level 2, the PLC or an operator."""

    id: str
    grade: str = ""
    customer: str = ""
    width_mm: float | None = None
    thickness_mm: float | None = None
    length_mm: float | None = None
    """The stated length."""
    plan: str = ""
    """Name of the requested plan; empty leaves the choice to grade and customer."""


class CoilStarted(msgspec.Struct, frozen=True, tag="start", tag_field="event"):
    """A coil's head is at `position_mm`."""

    coil: CoilData
    position_mm: float
    at_ns: int
    """ns since 1970."""
    plan: str
    """Name of the plan that judges it; empty for the default."""
    recipe: str
    """That plan's name and content hash."""
    plan_why: str
    said_by: str
    """Where the event came from: `command`, `level2`, `modbus`."""
    number: int = 0
    """1, 2, 3, … in the order of the starts. Stored, so that a damaged line in the journal shifts no number."""
    ahead: bool = False
    """Whether the strip had still to get there when its sender stated the position."""
    cuts: bool = False
    """Whether it ends the coil before it earlier than that coil's end was announced."""


class CoilEnded(msgspec.Struct, frozen=True, tag="end", tag_field="event"):
    """The open coil's tail is at `position_mm`."""

    id: str
    position_mm: float
    at_ns: int
    said_by: str
    ahead: bool = False
    """Whether the strip had still to get there when its sender stated the position."""


CoilEvent = CoilStarted | CoilEnded


class Coil(msgspec.Struct, frozen=True):
    """One coil on the strip."""

    start: CoilStarted
    end_mm: float | None = None
    end_ns: int | None = None
    end_why: str = ""
    """Why the end is assumed; empty for a reported end."""
    end_said_by: str = ""
    """Where a reported end came from."""
    end_ahead: bool = False
    """Whether the end was announced ahead of the strip."""

    @property
    def number(self) -> int:
        """Number of the coil in the order of the starts, from 1."""
        return self.start.number

    @property
    def id(self) -> str:
        """The coil's name; the same coil may run twice."""
        return self.start.coil.id

    @property
    def start_mm(self) -> float:
        """Position of its head."""
        return self.start.position_mm


class EventRefusedError(Exception):
    """An impossible event; its text is one line for the log and the sender."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        """`again` means that the event was already applied, so its sender gets a confirmation."""
        super().__init__(text)
        self.again = again


class CoilBook:
    """All coils since the journal began, oldest first."""

    def __init__(self) -> None:
        self.coils: list[Coil] = []

    @property
    def open(self) -> Coil | None:
        """The coil that has not ended."""
        return self.coils[-1] if self.coils and self.coils[-1].end_mm is None else None

    @property
    def next_number(self) -> int:
        """The number of the next coil."""
        return self.coils[-1].number + 1 if self.coils else 1

    def check(self, event: CoilEvent) -> None:
        """Raise EventRefusedError for an event that is impossible now."""
        now_open = self.open
        last = self.coils[-1] if self.coils else None
        if isinstance(event, CoilStarted):
            if not event.coil.id:
                raise EventRefusedError("coil start without an id: refused")
            if now_open is not None and now_open.id == event.coil.id:
                raise EventRefusedError(f"coil {event.coil.id} is on the line already: start ignored", again=True)
            first_mm = None
            if last is not None:
                first_mm = last.start_mm if event.cuts or last.end_mm is None else last.end_mm
            if first_mm is not None and event.position_mm < first_mm - SAME_PLACE_MM:
                raise EventRefusedError(
                    f"coil {event.coil.id} starts at {event.position_mm / 1000:.3f} m, before the end of coil "
                    f"{last.id if last else ''} at {first_mm / 1000:.3f} m: refused"
                )
            return
        if now_open is None:
            ended_before = last is not None and last.id == event.id
            told = "has ended already" if ended_before else "has not started"
            raise EventRefusedError(f"coil {event.id or '?'} {told}: end ignored", again=ended_before)
        if event.id and event.id != now_open.id:
            if any(coil.id == event.id for coil in self.coils[-REMEMBERED:]):
                raise EventRefusedError(f"coil {event.id} has ended already: end ignored", again=True)
            raise EventRefusedError(f"end of coil {event.id}, but coil {now_open.id} is on the line: end ignored")
        if event.position_mm < now_open.start_mm:
            raise EventRefusedError(
                f"coil {now_open.id} ends at {event.position_mm / 1000:.3f} m, before its head at "
                f"{now_open.start_mm / 1000:.3f} m: refused"
            )

    def apply(self, event: CoilEvent) -> Coil:
        """Apply a checked event and return its coil. A start ends the coil before it."""
        now_open = self.open
        if isinstance(event, CoilEnded):
            if now_open is None:
                raise EventRefusedError("end without a coil")
            self.coils[-1] = msgspec.structs.replace(
                now_open,
                end_mm=event.position_mm,
                end_ns=event.at_ns,
                end_said_by=event.said_by,
                end_ahead=event.ahead,
            )
            return self.coils[-1]
        if now_open is not None:
            self._end_last(event, f"no end was said before coil {event.coil.id} started")
        elif event.cuts and self.coils:
            self._end_last(event, f"coil {event.coil.id} started before the announced end")
        self.coils.append(Coil(event))
        return self.coils[-1]

    def _end_last(self, start: CoilStarted, why: str) -> None:
        last = self.coils[-1]
        end_mm = max(start.position_mm, last.start_mm)
        self.coils[-1] = msgspec.structs.replace(last, end_mm=end_mm, end_ns=start.at_ns, end_why=why)
