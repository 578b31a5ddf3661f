"""Changes single values in a plan's TOML file and leaves its comments and everything else as they are."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from inspector.errors import InputError

_TABLE: Final = re.compile(r"\s*\[(?!\[)(?P<keys>.+)\]\s*(#.*)?$")
_ARRAY: Final = re.compile(r"\s*\[\[")
_KEY: Final = re.compile(r"(?P<head>\s*(?P<key>[A-Za-z0-9_-]+)\s*=\s*)(?P<value>\"[^\"]*\"|[^\s#]+)(?P<rest>.*)$")

Changes = Mapping[str, Mapping[str, Any]]
"""Class → key → new value; None removes the key."""


def changed_text(text: str, changes: Changes) -> str:
    """Return the file with these keys of `[classes.NAME]` set.

    Raises InputError if the file is written in another way than one table per class, one line per key: the result
    is read again, and must hold the changes and nothing else.
    """
    wanted = tomllib.loads(text)
    for name, keys in changes.items():
        for key, value in keys.items():
            if value is None:
                wanted["classes"][name].pop(key, None)
            else:
                wanted["classes"][name][key] = value
    lines = text.splitlines()
    for name, keys in changes.items():
        for key, value in keys.items():
            lines = _with_key(lines, name, key, value)
    changed = "\n".join(lines) + "\n"
    try:
        found = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        found = {}
    if found != wanted:
        raise InputError(
            "this file is written in a way that the page cannot change: give each class a table [classes.NAME] "
            "with one key a line, or edit the file"
        )
    return changed


def _with_key(lines: list[str], name: str, key: str, value: Any) -> list[str]:
    first, last = _table(lines, name)
    for n in range(first + 1, last):
        found = _KEY.match(lines[n])
        if found is not None and found["key"] == key:
            line = [] if value is None else [f"{found['head']}{_toml(value)}{found['rest']}"]
            return [*lines[:n], *line, *lines[n + 1 :]]
    if value is None:
        return lines
    while last > first + 1 and not lines[last - 1].split("#")[0].strip():
        last -= 1  # before the blank lines and comments, which belong to the next table
    return [*lines[:last], f"{key} = {_toml(value)}", *lines[last:]]


def _table(lines: list[str], name: str) -> tuple[int, int]:
    """Return the line of a class's header, and the line after its last one."""
    first = None
    for n, line in enumerate(lines):
        header = _TABLE.match(line)
        if first is not None and (header is not None or _ARRAY.match(line)):
            return first, n
        if first is None and header is not None and _is_of(header["keys"], name):
            first = n
    if first is None:
        raise InputError(f"the file has no table [classes.{name}]: the page cannot change it, edit the file")
    return first, len(lines)


def _is_of(keys: str, name: str) -> bool:
    try:
        return tomllib.loads(f"[{keys}]\nx = 1") == {"classes": {name: {"x": 1}}}
    except tomllib.TOMLDecodeError:
        return False


def _toml(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as people write it
    # JSON texts and numbers are valid TOML, too.
    return json.dumps(value, ensure_ascii=False)
