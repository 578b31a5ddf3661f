"""Whether the PC's clock is reliable enough to tell the age of coils: the rules of the records' clock.

After anything that a wrong clock may explain, nothing is deleted by age for `keep_days`. The archive keeps
the clocks of its last sweep itself: it may have no database.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

JUMP_NS: Final = 600 * 10**9
JUMP_SHARE: Final = 0.01
"""Smallest clock change that counts: the larger of ten minutes and this share of `keep_days`."""

BELIEVED_GAP: Final = 0.5
"""Longest gap since the last sweep that counts as time switched off, as a share of `keep_days`."""

NEARLY_ALL: Final = 0.9
"""Share of the coils that a lower `keep_days` must not delete on its first day."""

LOWERED_NS: Final = 86_400 * 10**9
"""Time to correct a `keep_days` that was lowered by mistake, ns: one day."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Now(msgspec.Struct, frozen=True):
    """One moment on two clocks."""

    wall_ns: int
    boot_ns: int
    """Time since the PC started, including sleep; it cannot be set."""
    boot_id: str

    @property
    def offset_ns(self) -> int:
        """Changes only when the wall clock is set."""
        return self.wall_ns - self.boot_ns


def read_clocks() -> Now:
    """Read both clocks of this PC."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot_id = "unknown"
    return Now(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), boot_id)


class Seen(msgspec.Struct, frozen=True):
    """The clocks at a sweep, and the hold in force then."""

    boot_id: str
    offset_ns: int
    at_ns: int
    keep_ns: int
    """`keep_days` of the config."""
    hold_until_ns: int = 0
    """Nothing is deleted by age before this; 0 without a hold."""
    hold_why: str = ""


def look(before: Seen | None, now: Now, keep_ns: int, began_ns: Sequence[int]) -> Seen:
    """Compare the clocks with those of the last sweep.

    `began_ns` are the coils' starts, oldest first: the newest one stands for the last sweep if there was none.
    """
    until_ns, why = _doubt(before, now, keep_ns, began_ns)
    if not until_ns and before is not None and before.hold_until_ns > now.wall_ns:
        until_ns, why = before.hold_until_ns, before.hold_why
    return Seen(now.boot_id, now.offset_ns, now.wall_ns, keep_ns, until_ns, why)


def _doubt(before: Seen | None, now: Now, keep_ns: int, began_ns: Sequence[int]) -> tuple[int, str]:
    """Return a new hold if a wrong clock or a mistyped `keep_days` may explain what is seen; (0, "") if not."""
    jump_ns = max(JUMP_NS, JUMP_SHARE * keep_ns)
    last_ns = before.at_ns if before is not None else max(began_ns, default=now.wall_ns)
    if before is not None and before.boot_id == now.boot_id:
        in_doubt = abs(now.offset_ns - before.offset_ns) > jump_ns
    else:
        in_doubt = not -jump_ns <= now.wall_ns - last_ns <= max(JUMP_NS, BELIEVED_GAP * keep_ns)
    if in_doubt:
        went = f"from {shown(last_ns)} to {shown(now.wall_ns)}"
        return now.wall_ns + keep_ns, f"the PC's clock went {went}: it was set, or the PC was off for long"
    lowered = before is None or keep_ns < before.keep_ns
    if lowered and began_ns and began_ns[int(NEARLY_ALL * (len(began_ns) - 1))] < now.wall_ns - keep_ns:
        return now.wall_ns + LOWERED_NS, f"keep_days would delete more than {NEARLY_ALL:.0%} of the coils at once"
    return 0, ""


def shown(time_ns: int) -> str:
    """A time for a log."""
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ns / 1e9:.0f} s"
