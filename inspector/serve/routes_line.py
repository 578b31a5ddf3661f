"""Routes of the running line: live data, alarms, events."""

import time
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from pydantic import BaseModel, Field

from inspector.errors import WorkError
from inspector.serve.accounts import Account, Role
from inspector.serve.alarms import acknowledge, past_alarms
from inspector.serve.events import add_placed_event, events
from inspector.serve.page import Name, Text, Whole, of
from inspector.serve.problems import Problem
from inspector.serve.security import may_see, needs
from inspector.strip.orders import ROLL_CHANGE, change_rolls

router = APIRouter(prefix="/api")

Viewer = Annotated[Account, Depends(needs(Role.VIEWER))]
Operator = Annotated[Account, Depends(needs(Role.OPERATOR))]
Count = Annotated[Whole, Field(le=1000)]


MOST_MM: Final = 1e9
"""Longest strip whose positions an event may name, mm: a thousand kilometres."""


class Why(BaseModel):
    """The reason for an action."""

    why: Text = ""


class Event(BaseModel):
    """An event at the line."""

    kind: Literal["note", "roll change", "coil change", "cleaning", "maintenance"]
    text: Text = ""
    coil: Name | None = None
    position_mm: Annotated[float, Field(ge=-MOST_MM, le=MOST_MM, allow_inf_nan=False)] | None = None


@router.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """Stream the live page's data: text messages are JSON, binary ones a header's length, a header and a JPEG."""
    if not may_see(websocket):
        await websocket.close(1008, "log in first")
        return
    await websocket.app.state.page.hub.serve(websocket, lambda: may_see(websocket))


@router.get("/line")
def line(request: Request, _: Viewer) -> dict[str, Any]:
    """Return what does not change while the page runs: cameras, classes, scale."""
    return of(request).line()


@router.get("/state")
def state(request: Request, _: Viewer) -> dict[str, Any]:
    """Return the line's state, as `inspector status` shows it."""
    return of(request).follower.state()


@router.get("/rejects/{number}", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def reject(number: Whole, request: Request, _: Viewer) -> Response:
    """Return the picture of a recent reject, its defects outlined."""
    picture = of(request).follower.live.picture(number)
    if picture is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"reject {number}: its picture is not kept any more")
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/alarms")
def alarms(request: Request, _: Viewer, count: Count = 100) -> list[dict[str, Any]]:
    """Return the alarms, the unacknowledged ones first, then newest first."""
    return past_alarms(of(request).store, count)


@router.post("/alarms/{number}/acknowledgement")
def acknowledge_alarm(number: Whole, why: Why, request: Request, who: Operator) -> dict[str, int]:
    """Acknowledge an alarm."""
    acknowledge(of(request).store, number, who.name, why.why)
    return {"id": number}


@router.get("/events")
def list_events(request: Request, _: Viewer, count: Count = 100) -> list[dict[str, Any]]:
    """Return the newest events, newest first."""
    return events(of(request).store, count)


@router.post("/events", status_code=HTTPStatus.CREATED)
def note_event(event: Event, request: Request, who: Operator) -> dict[str, Any]:
    """Store an event, with the present place of the strip unless it has its own.

    A roll change also clears the roll marks of the rolls that its text names, in `cleared`; `problem` says why it
    could not.
    """
    page = of(request)
    now = page.follower.place(time.time_ns())
    number = add_placed_event(page.store, event.kind, event.text, who.name, now, event.coil, event.position_mm)
    strip = page.config.line.strip
    if event.kind != ROLL_CHANGE or strip is None:
        return {"id": number}
    try:
        return {"id": number, "cleared": change_rolls(strip.folder, event.text)["cleared"]}
    except WorkError as error:
        return {"id": number, "problem": f"no roll mark is cleared: {error}"}
