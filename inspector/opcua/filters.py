"""Checks a client's event and data-change filters before asyncua evaluates them.

asyncua evaluates a filter when an event comes. There, a wrong one would break the event for every client.
"""

import math
from typing import Any, Final

from asyncua import ua
from asyncua.common.events import Event

MOST_FIELDS: Final = 100
MOST_ELEMENTS: Final = 20
MOST_OPERANDS: Final = 1_000
"""Event types of one filter; clients name each subtype."""

_OPERANDS: Final = {
    ua.FilterOperator.Equals: 2,
    ua.FilterOperator.IsNull: 1,
    ua.FilterOperator.GreaterThan: 2,
    ua.FilterOperator.LessThan: 2,
    ua.FilterOperator.GreaterThanOrEqual: 2,
    ua.FilterOperator.LessThanOrEqual: 2,
    ua.FilterOperator.Not: 1,
    ua.FilterOperator.Between: 3,
    ua.FilterOperator.InList: 2,
    ua.FilterOperator.And: 2,
    ua.FilterOperator.Or: 2,
    ua.FilterOperator.OfType: 1,
}
"""Operators that are evaluated, and the fewest operands of each."""

_PLAIN: Final = Event()


def event_refusal(asked: Any) -> Any:
    """Why a filter of events is refused, as a status; None for a good one."""
    if not isinstance(asked, ua.EventFilter):
        return ua.StatusCodes.BadEventFilterInvalid
    fields = asked.SelectClauses or []
    if not 0 < len(fields) <= MOST_FIELDS or not all(_is_field(each) for each in fields):
        return ua.StatusCodes.BadEventFilterInvalid
    elements = asked.WhereClause.Elements or []
    return None if _is_tree(elements) else ua.StatusCodes.BadContentFilterInvalid


def value_refusal(asked: Any, value: Any) -> Any:
    """Why a filter of a value's changes is refused, as a status; None for a good one. `value` is the value now."""
    if asked is None or (isinstance(asked, ua.ExtensionObject) and asked.TypeId == ua.NodeId()):
        return None
    if not isinstance(asked, ua.DataChangeFilter):
        return ua.StatusCodes.BadFilterNotAllowed
    if asked.DeadbandType == ua.DeadbandType.None_:
        return None
    if asked.DeadbandType != ua.DeadbandType.Absolute:
        return ua.StatusCodes.BadMonitoredItemFilterUnsupported
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ua.StatusCodes.BadFilterNotAllowed
    if not math.isfinite(asked.DeadbandValue) or asked.DeadbandValue < 0:
        return ua.StatusCodes.BadDeadbandFilterInvalid
    return None


def _is_field(asked: Any) -> bool:
    """Whether it names a field of an event; the library looks it up among its object's attributes."""
    if not isinstance(asked, ua.SimpleAttributeOperand):
        return False
    if not asked.BrowsePath:
        return asked.AttributeId in (ua.AttributeIds.NodeId, ua.AttributeIds.Value)
    names = [each.Name for each in asked.BrowsePath]
    return all(isinstance(each, str) for each in names) and not hasattr(_PLAIN, "/".join(names))


def _is_tree(elements: list[Any]) -> bool:
    """Whether each element is used once, by an earlier one: then an evaluation ends, after so many steps."""
    if len(elements) > MOST_ELEMENTS:
        return False
    used: set[int] = set()
    for index, element in enumerate(elements):
        operands = element.FilterOperands or []
        least = _OPERANDS.get(element.FilterOperator)
        if least is None or not least <= len(operands) <= MOST_OPERANDS:
            return False
        for operand in operands:
            if isinstance(operand, ua.ElementOperand):
                if not index < operand.Index < len(elements) or operand.Index in used:
                    return False
                used.add(operand.Index)
            elif not isinstance(operand, ua.LiteralOperand) and not _is_field(operand):
                return False
    return True
