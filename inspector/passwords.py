"""Reads a line's passwords from their sources, and masks passwords in text."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from inspector.errors import ConfigError

HIDDEN: Final = "***"

_USER: Final = r"://[^\s/?#:@'\"]*"

_IN_ADDRESS: Final = re.compile(rf"({_USER}:)(?!\d{{1,5}}(?:[/?#\s'\"]|$))[^\s'\"]*(?=@)")
"""`rtsp://user:secret@host`, up to the last @, because a password may contain any character. A number up to /
is a port."""

_NAMED: Final = re.compile(
    r"([\w-]*(?:pass|pwd|psw|secret|token|api_?key|credential|auth)[\w-]*|\b(?:user-)?pw|\bkey)=[^\s&;,'\"]+",
    re.IGNORECASE,
)
"""`?user=admin&pwd=secret`: names that cameras and databases use."""

_FILE: Final = "sqlite:///"
"""A file has no password, even if its name looks like one."""

PLACE: Final = "{password}"
"""Placeholder for the password in an address, if it does not follow the user name."""

_SOURCE: Final = re.compile(r"(env|credential):([A-Za-z_][A-Za-z0-9_.-]*)")
_AFTER_USER: Final = re.compile(rf"({_USER[:-1]}+)@")


def masked(text: str) -> str:
    """The text with every password in an address or after a telltale name hidden."""
    if ("=" not in text and "@" not in text) or text.startswith(_FILE):
        return text
    return _NAMED.sub(rf"\1={HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}", text))


def mask_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that hides passwords in the values of a log line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


def check_source(source: str) -> str:
    """Check a password source as written in a config; raises ValueError."""
    if _SOURCE.fullmatch(source) is None:
        raise ValueError(
            "must be env:NAME (an environment variable) or credential:NAME (systemd's LoadCredential=NAME:FILE); "
            "the password itself does not belong in a config"
        )
    return source


def has_place(address: str) -> bool:
    """Whether an address has a place for its password."""
    return PLACE in address or _AFTER_USER.search(address) is not None


def with_password(address: str, source: str) -> str:
    """The address with the password from this source filled in. Raises ConfigError."""
    password = quote(read_source(source), safe="")
    if PLACE in address:
        return address.replace(PLACE, password)
    return _AFTER_USER.sub(lambda found: f"{found[1]}:{password}@", address, count=1)


def read_source(source: str) -> str:
    """The password of a checked source. Raises ConfigError."""
    kind, _, name = source.partition(":")
    if kind == "env":
        if name not in os.environ:
            raise ConfigError(f"password: {source}: the environment variable {name} is not set")
        return os.environ[name]
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise ConfigError(
            f"password: {source}: no CREDENTIALS_DIRECTORY: give the unit LoadCredential={name}:FILE"
        )
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigError(f"password: {source}: {why}: give the unit LoadCredential={name}:FILE") from None
