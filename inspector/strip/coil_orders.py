"""Orders of people and programs on this PC: coil start and end, checked before they become coil events."""

import math
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec

from inspector.core.strip.coils import CoilData
from inspector.strip.coil_events import CoilEvents
from inspector.strip.roll_events import RollEvents

Text = Annotated[str, msgspec.Meta(max_length=128)]
SizeMm = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
PlaceMm = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
"""A thousand kilometres in either direction."""

_PLACE: Final = re.compile(r"(.*?) - at `\$\.?(?P<key>[^`]*)`", re.DOTALL)


class StartOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coil's head passes."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    grade: Text = ""
    customer: Text = ""
    width_mm: SizeMm | None = None
    thickness_mm: SizeMm | None = None
    length_mm: SizeMm | None = None
    plan: Text = ""
    position_mm: PlaceMm | None = None
    """Position of the head; None means here and now."""

    def coil(self) -> CoilData:
        """Return the coil that the order describes."""
        return CoilData(
            self.id, self.grade, self.customer, self.width_mm, self.thickness_mm, self.length_mm, self.plan
        )


class EndOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coil's tail passes."""

    id: Text = ""
    """Empty ends the coil on the line."""
    position_mm: PlaceMm | None = None


class RollOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rolls were changed."""

    text: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    """Names the rolls."""
    position_mm: PlaceMm | None = None


Order = TypeVar("Order", StartOrder, EndOrder, RollOrder)


class OrderRefusedError(Exception):
    """An order that cannot be read; its text is one line."""


def start_coil(coil_events: CoilEvents, wanted: Any, said_by: str) -> dict[str, Any]:
    """Carry out an order. Raises OrderRefusedError, EventRefusedError, OSError when the disk refuses it."""
    order = _read(wanted, StartOrder)
    coil = coil_events.start(order.coil(), said_by, order.position_mm)
    return {
        "number": coil.number,
        "id": coil.id,
        "plan": coil.start.plan,
        "why": coil.start.plan_why,
        "recipe": coil.start.recipe,
        "position_mm": coil.start_mm,
    }


def end_coil(coil_events: CoilEvents, wanted: Any, said_by: str) -> dict[str, Any]:
    """Carry out an order. Raises as `start_coil` does."""
    order = _read(wanted, EndOrder)
    coil = coil_events.end(order.id, said_by, order.position_mm)
    return {"number": coil.number, "id": coil.id, "length_mm": (coil.end_mm or coil.start_mm) - coil.start_mm}


def change_rolls(rolls: RollEvents, wanted: Any, said_by: str) -> dict[str, Any]:
    """Carry out an order. Raises as `start_coil` does."""
    order = _read(wanted, RollOrder)
    return rolls.changed(order.text, said_by, order.position_mm)


def _read(wanted: Any, kind: type[Order]) -> Order:
    try:
        order = msgspec.convert(wanted, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.fullmatch(str(error))
        raise OrderRefusedError(f"{found['key']}: {found[1]}" if found and found["key"] else str(error)) from None
    for key, value in msgspec.structs.asdict(order).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise OrderRefusedError(f"{key}: must be a number, not {value}")
        if isinstance(value, str) and not value.isprintable():
            raise OrderRefusedError(f"{key}: must not have control characters")
    return order
