"""Sets a GenICam camera's features as the config states, each checked against the camera."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from inspector.config.sources import FeatureValue
from inspector.sources.genicam.library import aravis, glib_error

_SAME: Final = 0.01
"""Largest rounding of a real number by a camera, as a share: exposure times are multiples of its clock period."""

_PLAIN_BELOW: Final = 1e15


class FeatureFault(Exception):  # noqa: N818  # becomes the reason why a camera cannot be opened
    """A feature that the camera lacks, or a value that it refuses; one line."""


def set_features(device: Any, groups: Sequence[Mapping[str, FeatureValue]]) -> None:
    """Set all features in the order written; raises FeatureFault at the first that cannot be set.

    The order matters: a selector chooses what the features after it apply to.
    """
    for group in groups:
        for name, value in group.items():
            try:
                _set(device, name, value)
            except glib_error() as error:
                raise FeatureFault(f"features: {name} = {shown(value)}: {_text(error)}") from None


def _set(device: Any, name: str, value: FeatureValue) -> None:
    node = device.get_feature(name)
    kinds = aravis()
    if node is None or not isinstance(node, kinds.GcFeatureNode) or isinstance(node, kinds.GcCategory):
        raise FeatureFault(f"features: {name}: the camera has no such feature{_meant(device, name)}")
    if not device.is_feature_available(name):
        raise FeatureFault(f"features: {name}: not available with the features set before it")
    if device.get_feature_access_mode(name) == kinds.GcAccessMode.RO:
        raise FeatureFault(f"features: {name}: can only be read")
    # An enumeration is an integer too, and a command has no value: the order matters.
    if isinstance(node, kinds.GcCommand):
        _expect(name, value, bool, "true, which executes it")
        if value:
            device.execute_command(name)
    elif isinstance(node, kinds.GcEnumeration):
        _set_entry(device, name, value)
    elif isinstance(node, kinds.GcBoolean):
        _expect(name, value, bool, "true or false")
        device.set_boolean_feature_value(name, value)
        _check(name, value, device.get_boolean_feature_value(name))
    elif isinstance(node, kinds.GcInteger):
        _set_integer(device, name, value)
    elif isinstance(node, kinds.GcFloat):
        _set_float(device, name, value)
    elif isinstance(node, kinds.GcString):
        _expect(name, value, str, "text")
        device.set_string_feature_value(name, value)
        _check(name, value, device.get_string_feature_value(name))
    else:
        raise FeatureFault(f"features: {name}: cannot be set")


def _set_entry(device: Any, name: str, value: FeatureValue) -> None:
    entries = device.dup_available_enumeration_feature_values_as_strings(name)
    if value not in entries:
        raise FeatureFault(f"features: {name} = {shown(value)}: the camera takes {', '.join(map(shown, entries))}")
    device.set_string_feature_value(name, value)
    _check(name, value, device.get_string_feature_value(name))


def _set_integer(device: Any, name: str, value: FeatureValue) -> None:
    _expect(name, value, int, "a whole number")
    low, high = device.get_integer_feature_bounds(name)
    step = device.get_integer_feature_increment(name)
    number = int(value)
    if not low <= number <= high or (step > 1 and (number - low) % step):
        steps = f" in steps of {step}" if step > 1 else ""
        raise FeatureFault(f"features: {name} = {value}: the camera takes {low} to {high}{steps}")
    device.set_integer_feature_value(name, number)
    _check(name, value, device.get_integer_feature_value(name))


def _set_float(device: Any, name: str, value: FeatureValue) -> None:
    _expect(name, value, (int, float), "a number")
    low, high = device.get_float_feature_bounds(name)
    number = float(value)
    if not low <= number <= high:
        raise FeatureFault(f"features: {name} = {value}: the camera takes {plain(low)} to {plain(high)}")
    device.set_float_feature_value(name, number)
    found = device.get_float_feature_value(name)
    if abs(found - number) > _SAME * abs(number):
        _check(name, value, found)


def _expect(name: str, value: FeatureValue, kind: type | tuple[type, ...], what: str) -> None:
    # Python's bool is an int.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FeatureFault(f"features: {name} = {shown(value)}: the camera takes {what}")


def _check(name: str, value: FeatureValue, found: object) -> None:
    if found != value:
        raise FeatureFault(f"features: {name} = {shown(value)}: the camera set {shown(found)} in its place")


def shown(value: object) -> str:
    """Format a value as in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def plain(number: float) -> str:
    """Format a number without an exponent if it stays readable."""
    return str(int(number)) if number == int(number) and abs(number) < _PLAIN_BELOW else f"{number:g}"


def _text(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())


def _meant(device: Any, name: str) -> str:
    close = difflib.get_close_matches(name, feature_names(device), n=1)
    return f": did you mean {close[0]}?" if close else ""


def feature_names(device: Any) -> list[str]:
    """Return the names of the camera's features, by category."""
    kinds = aravis()
    names: list[str] = []
    categories = ["Root"]
    seen: set[str] = set()
    while categories:
        name = categories.pop()
        node = device.get_feature(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if isinstance(node, kinds.GcCategory):
            categories += node.get_features()
        else:
            names.append(name)
    return names
