"""Options that several commands share, and the types of their values."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from inspector.errors import InputError

CONFIG_VARIABLE: Final = "INSPECTOR_CONFIG"
INSTALLED_CONFIG: Final = Path("/etc/inspector/line.toml")
"""Config of the installed service."""

LONGEST_S: Final = 3600.0
"""Longest time that an option may give, seconds."""

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2261
"""Years that nanoseconds since 1970 can express in a database's integer."""


def add_config(parser: argparse.ArgumentParser, *, installed: bool = False) -> None:
    """Declare --config; `installed` commands start no line and may read the service's config by default."""
    installed_too = f", else {INSTALLED_CONFIG}" if installed else ""
    parser.add_argument(
        "--config",
        type=path,
        metavar="FILE",
        help=f"the line's config (line.toml); default: ${CONFIG_VARIABLE}{installed_too}",
    )
    parser.set_defaults(installed=installed)


def config_path(arguments: argparse.Namespace) -> Path:
    """Return the path of --config or its default. Raises InputError."""
    given: Path | None = arguments.config
    if given is not None:
        return given
    if os.environ.get(CONFIG_VARIABLE):
        return Path(os.environ[CONFIG_VARIABLE])
    if arguments.installed and INSTALLED_CONFIG.exists():
        return INSTALLED_CONFIG
    raise InputError(f"which line? give --config FILE, or set {CONFIG_VARIABLE}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object for a program to read")


def add_times(parser: argparse.ArgumentParser) -> None:
    """Declare --from and --to, ns since 1970."""
    time_of = "e.g. 2026-03-01T06:00, local time, or with +01:00 or Z"
    parser.add_argument("--from", dest="from_ns", type=_time_ns, metavar="TIME", help=f"captured from, {time_of}")
    parser.add_argument("--to", dest="to_ns", type=_time_ns, metavar="TIME", help="captured before")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Declare --engine."""
    parser.add_argument("--engine", type=path, metavar="DIR", help="this engine folder, not the config's")


def path(text: str) -> Path:
    """Convert to a path; refuses an empty one, which an unset variable gives: it would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def seconds(text: str) -> float:
    """Convert to seconds, above 0 and at most LONGEST_S."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be over 0 and at most {LONGEST_S:g}, got {text}")
    return value


def count(text: str) -> int:
    """Convert to a whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _time_ns(text: str) -> int:
    """Convert ISO 8601 to ns since 1970."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write it as 2026-03-01T06:00") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r}: must lie in the years {FIRST_YEAR} to {LAST_YEAR}")
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000
