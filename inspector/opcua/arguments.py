"""Checks a call's arguments against the method's own declaration, so that a method only sees what it expects."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from asyncua import Node, ua
from asyncua.common.ua_utils import data_type_to_variant_type

LONGEST_TEXT: Final = 500
"""Characters of a name, an id or a reason."""
MOST_VALUES: Final = 100
"""Elements of an array."""


@dataclass(frozen=True)
class Expected:
    """One argument as the node set declares it."""

    kind: ua.VariantType
    structure: type | None
    """The class of a structure."""
    rank: int
    """As in the specification: -1 a single value, 1 a list, -2 and -3 either."""

    def refusal(self, given: ua.Variant) -> Any:
        """Why a value is refused, as a status; None for a good one."""
        is_list = isinstance(given.Value, list)
        if given.Value is None and self.rank != -1:
            return None
        if self.rank not in (-2, -3) and is_list != (self.rank >= 0):
            return ua.StatusCodes.BadTypeMismatch
        values = given.Value if is_list else [given.Value]
        if len(values) > MOST_VALUES:
            return ua.StatusCodes.BadOutOfRange
        of_kind = self.kind in (given.VariantType, ua.VariantType.Variant)
        if not of_kind or not all(self._fits(each) for each in values):
            return ua.StatusCodes.BadTypeMismatch
        return None if all(_is_short(each) for each in values) else ua.StatusCodes.BadOutOfRange

    def _fits(self, value: Any) -> bool:
        # An id that is not given comes as a structure without a type.
        empty = isinstance(value, ua.ExtensionObject) and value.TypeId == ua.NodeId()
        return self.structure is None or value is None or empty or isinstance(value, self.structure)


async def expected(method: Node) -> list[Expected]:
    """The arguments that a method declares."""
    found = [
        each for each in await method.get_properties() if (await each.read_browse_name()).Name == "InputArguments"
    ]
    declared = await found[0].read_value() if found else []
    made = []
    for each in declared or []:
        node = Node(method.session, each.DataType)
        kind = await data_type_to_variant_type(node)
        structure = None
        if kind == ua.VariantType.ExtensionObject:
            structure = getattr(ua, (await node.read_browse_name()).Name)
        made.append(Expected(kind, structure, each.ValueRank))
    return made


def refusal(wanted: Sequence[Expected], given: Sequence[ua.Variant]) -> ua.CallMethodResult | None:
    """The answer to a call whose arguments are wrong; None for good ones."""
    if len(given) != len(wanted):
        few = len(given) < len(wanted)
        code = ua.StatusCodes.BadArgumentsMissing if few else ua.StatusCodes.BadTooManyArguments
        return ua.CallMethodResult(StatusCode=ua.StatusCode(code))
    codes = [one.refusal(value) or ua.StatusCodes.Good for one, value in zip(wanted, given, strict=True)]
    if not any(codes):
        return None
    return ua.CallMethodResult(
        StatusCode=ua.StatusCode(ua.StatusCodes.BadInvalidArgument),
        InputArgumentResults=[ua.StatusCode(each) for each in codes],
    )


def _is_short(value: Any) -> bool:
    """Whether all texts in it are short, and of characters that a log and a screen can show."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and value.isprintable()
    if is_dataclass(value):
        return all(_is_short(getattr(value, each.name)) for each in fields(value))
    return True
