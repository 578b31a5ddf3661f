"""Accepts coil events from all sources, checks them, and passes the coils to ingest."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from inspector.core.strip.choice import PlanChoice, choose
from inspector.core.strip.coils import (
    AHEAD_MM,
    BEHIND_MM,
    REMEMBERED,
    SAME_PLACE_MM,
    Coil,
    CoilData,
    CoilEnded,
    CoilEvent,
    CoilStarted,
    EventRefusedError,
)
from inspector.repeated import Repeated
from inspector.strip.journal import Journal
from inspector.wire.strip_files import KNOWN_COILS, CoilPlace, TrackWriter

Position = Callable[[], float]

log = structlog.get_logger()


class CoilEvents:
    """The coils. Thread-safe; an event is on the disk when the call returns."""

    def __init__(
        self,
        journal: Journal,
        track: TrackWriter,
        position_mm: Position,
        plans: Sequence[PlanChoice],
        default_plan: str,
        head_offset_mm: float,
    ) -> None:
        """`position_mm` returns the strip's current position."""
        self._journal, self._track, self._now_mm = journal, track, position_mm
        self._plans, self._default, self._offset_mm = plans, default_plan, head_offset_mm
        self._lock = threading.Lock()
        self._to_hand_over, self._failures = False, Repeated()
        now_open = journal.book.open
        if now_open is not None and self._recipe_now(now_open) != now_open.start.recipe:
            log.warning(
                "the plan of the coil on the line has changed: the new plan judges its frames from now on",
                coil=now_open.id, before=now_open.start.recipe, now=self._recipe_now(now_open),
            )  # fmt: skip
        self._hand_over()

    @property
    def coils(self) -> list[Coil]:
        """All coils, oldest first."""
        with self._lock:
            return list(self._journal.book.coils)

    def start(self, coil: CoilData, said_by: str, position_mm: float | None = None) -> Coil:
        """Start a coil. Raises EventRefusedError with the reason, OSError if the event cannot be written."""
        chosen = choose(coil, self._plans, self._default)
        at_mm = self._place(position_mm)
        stated = position_mm is not None
        ahead = at_mm > self.place_mm() + SAME_PLACE_MM
        event = CoilStarted(
            coil, at_mm, time.time_ns(), chosen.name, chosen.recipe, chosen.why, said_by, ahead=ahead
        )
        made = self._take(event, stated=stated)
        at_mm = made.start_mm
        place = {"at_m": round(at_mm / 1000, 3), "plan": chosen.name or "default", "why": chosen.why}
        log.info("coil starts", coil=coil.id, **place, said_by=said_by)
        return made

    def end(self, coil_id: str, said_by: str, position_mm: float | None = None) -> Coil:
        """End a coil; an empty id means the coil on the line. Raises like `start`."""
        at_mm = self._place(position_mm)
        event = CoilEnded(coil_id, at_mm, time.time_ns(), said_by, ahead=at_mm > self.place_mm() + SAME_PLACE_MM)
        ended = self._take(event, stated=position_mm is not None)
        log.info("coil ends", coil=ended.id, at_m=round((ended.end_mm or at_mm) / 1000, 3), said_by=said_by)
        return ended

    def place_mm(self) -> float:
        """Return the position of a head or tail that is reported now."""
        return self._now_mm() + self._offset_mm

    def _place(self, position_mm: float | None) -> float:
        return self.place_mm() if position_mm is None else position_mm

    def _take(self, event: CoilEvent, *, stated: bool) -> Coil:
        """`stated`: the sender gave the position; otherwise it is the strip's position now."""
        with self._lock:
            try:
                self._refuse_repeated(event)
                event = self._cut_short(event)
                event = self._refuse_far(event) if stated else self._after_the_last(event)
                self._journal.book.check(event)
            except EventRefusedError as refused:
                log.warning("coil event refused", why=str(refused), said_by=event.said_by)
                raise
            if isinstance(event, CoilStarted):
                event = msgspec.structs.replace(event, number=self._journal.book.next_number)
            self._journal.write(event)
            self._to_hand_over = True
            coil = self._journal.book.coils[-1]
        self.turn()
        return coil

    def turn(self) -> None:
        """Tell ingest about a new event. The event is on the disk: the next turn tries again what fails here."""
        with self._lock:
            if not self._to_hand_over:
                return
            try:
                self._hand_over()
            except OSError as error:
                if (count := self._failures.due()) is not None:
                    log.error("ingest cannot be told of a coil: retrying", error=error.strerror, count=count)
                return
            self._to_hand_over = False

    def _refuse_repeated(self, event: CoilEvent) -> None:
        """Refuse a telegram that was resent because its acknowledgement was lost."""
        if ":" not in event.said_by:
            return
        for coil in self._journal.book.coils[-REMEMBERED:]:
            said_by = coil.start.said_by if isinstance(event, CoilStarted) else coil.end_said_by
            if said_by == event.said_by:
                raise EventRefusedError(f"coil {coil.id}: the same telegram again", again=True)

    def _refuse_far(self, event: CoilEvent) -> CoilEvent:
        now_mm = self.place_mm()
        if not now_mm - BEHIND_MM <= event.position_mm <= now_mm + AHEAD_MM:
            what = "start" if isinstance(event, CoilStarted) else "end"
            coil_id = event.coil.id if isinstance(event, CoilStarted) else event.id
            raise EventRefusedError(
                f"coil {coil_id or '?'}: {what} at {event.position_mm / 1000:.3f} m, but the strip is at "
                f"{now_mm / 1000:.3f} m: refused"
            )
        return event

    def _cut_short(self, event: CoilEvent) -> CoilEvent:
        """A coil that starts before the announced end of the one before it ends that one: it was cut earlier."""
        last = self._journal.book.coils[-1] if self._journal.book.coils else None
        if last is None or last.end_mm is None or not last.end_ahead or not isinstance(event, CoilStarted):
            return event
        # An end that the strip has passed is a fact, and its coil may be judged.
        cuts = max(event.position_mm, self.place_mm()) < last.end_mm - SAME_PLACE_MM
        return msgspec.structs.replace(event, cuts=cuts)

    def _after_the_last(self, event: CoilEvent) -> CoilEvent:
        """An event that is reported while the strip is behind the last event, in reverse travel or after a
        restart, lies at that event's place: a coil must not be lost because the position went back. A coil that
        was announced ahead says nothing about where the strip is: the event is checked against it."""
        last = self._journal.book.coils[-1] if self._journal.book.coils else None
        if last is None or (last.end_mm is None and last.start.ahead):
            return event
        if isinstance(event, CoilStarted) and event.cuts and event.position_mm >= last.start_mm:
            return event
        first_mm = last.start_mm if last.end_mm is None else last.end_mm
        if event.position_mm >= first_mm:
            return event
        log.warning(
            "the strip is behind the last event of a coil: the new event is placed there",
            strip_m=round(event.position_mm / 1000, 3), placed_m=round(first_mm / 1000, 3), said_by=event.said_by,
        )  # fmt: skip
        return msgspec.structs.replace(event, position_mm=first_mm)

    def _hand_over(self) -> None:
        newest = self._journal.book.coils[-KNOWN_COILS:]
        self._track.coils(
            [
                CoilPlace(each.id, each.start_mm, each.end_mm, self._recipe_now(each), each.start.coil.width_mm)
                for each in newest
            ]
        )

    def _recipe_now(self, coil: Coil) -> str:
        """Return the identity of the coil's plan now; the plan may have changed since the coil started."""
        known = {plan.name: plan.recipe for plan in self._plans} | {"": self._default}
        return known.get(coil.start.plan, self._default)

    def status(self) -> dict[str, Any]:
        """Return the newest coils and the position, for `inspector coil status`."""
        now_mm = self._now_mm()
        return {
            "position_mm": round(now_mm, 1),
            "coils": [_told(coil, now_mm) for coil in self.coils[-5:]],
        }


def _told(coil: Coil, now_mm: float) -> dict[str, Any]:
    end_mm = now_mm if coil.end_mm is None else coil.end_mm
    return {
        "number": coil.number,
        "id": coil.id,
        "grade": coil.start.coil.grade,
        "plan": coil.start.plan,
        "plan_why": coil.start.plan_why,
        "recipe": coil.start.recipe,
        "start_mm": round(coil.start_mm, 1),
        "end_mm": None if coil.end_mm is None else round(coil.end_mm, 1),
        "length_mm": round(end_mm - coil.start_mm, 1),
    }
