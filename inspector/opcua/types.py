"""The structures of Machine Vision. asyncua makes their classes when it has read the node set."""

from datetime import UTC, datetime
from typing import Any

from asyncua import ua


def made(name: str, **fields: Any) -> Any:
    """A structure by its name in the specification, such as `ResultIdDataType`."""
    return getattr(ua, name)(**fields)


def variant(value: Any, kind: ua.VariantType) -> ua.Variant:
    """A value as an argument of a method."""
    return ua.Variant(value, kind)


def structure(value: Any) -> ua.Variant:
    """A structure, or a list of them, as an argument of a method."""
    return ua.Variant(value, ua.VariantType.ExtensionObject, is_array=isinstance(value, list))


def time_of(time_ns: int) -> datetime:
    """Nanoseconds since 1970 as OPC UA's time."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC)


def binary_id(kind: str, identity: str) -> Any:
    """A recipe's or configuration's id from a name and content hash, `name@hash`."""
    name, _, digest = identity.partition("@")
    return made(kind, Id=name, Version=digest)


def external_recipe(plan: str) -> Any:
    """A plan by its name in line.toml; the default has the name `default`."""
    return made("RecipeIdExternalDataType", Id=plan or "default")


def text_of(value: Any) -> str:
    """The `Id` of an id structure that a client gave; empty for none."""
    return str(getattr(value, "Id", "") or "")
