"""Times for people on site: local time of this PC, with its offset from UTC."""

from datetime import datetime
from typing import Final

NS_PER_S: Final = 10**9


def local(ns: int) -> datetime:
    """Convert ns since 1970 to the local time zone."""
    return datetime.fromtimestamp(ns // NS_PER_S).astimezone()


def offset(at: datetime) -> str:
    """Offset from UTC, such as +01:00."""
    return at.isoformat(timespec="seconds")[-6:]


def moment(ns: int) -> str:
    """Time with its offset, such as 2026-03-01 06:00:00 UTC+01:00."""
    at = local(ns)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC{offset(at)}"


def clock(ns: int) -> str:
    """Time of day; empty for a frame without a time."""
    return f"{local(ns):%H:%M:%S}" if ns > 0 else ""
