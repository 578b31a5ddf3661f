"""Whether the PC's clock is reliable enough to tell the age of what is kept: records, and archived coils.

If the clock was wrong, new things look old; if it is wrong now, all of them do. So after anything that a wrong
clock may explain, nothing is deleted by age for `keep_days`. After that time all earlier things are older than
`keep_days`, whichever clock was right.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

JUMP_NS: Final = 600 * 10**9
JUMP_SHARE: Final = 0.01
"""Smallest clock change that counts: the larger of ten minutes and this share of `keep_days`.

Smaller changes alter no age that matters.
"""

BELIEVED_GAP: Final = 0.5
"""Longest gap since the last look that counts as time switched off, as a share of `keep_days`.

If it is a clock error after all, what is deleted is still at least half of `keep_days` old.
"""

NEARLY_ALL: Final = 0.9
"""Share of all that a lower `keep_days` must not delete on its first day."""

LOWERED_NS: Final = 86_400 * 10**9
"""Time to correct a `keep_days` that was lowered by mistake, ns: one day."""

LATEST_NS: Final = 2**63 - 1
"""Largest value of a 64-bit column: the year 2262."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on two clocks."""

    wall_ns: int
    boot_ns: int
    """Time since the PC started, including sleep; it cannot be set."""
    boot_id: str

    @property
    def offset_ns(self) -> int:
        """Changes only when the wall clock is set."""
        return self.wall_ns - self.boot_ns


@dataclass(frozen=True, slots=True)
class Look:
    """The clocks at the last sweep, and its `keep_days` in ns."""

    boot_id: str
    offset_ns: int
    wall_ns: int
    keep_ns: int


def read_clocks() -> Now:
    """Read both clocks of this PC."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot_id = "unknown"
    return Now(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), boot_id)


def doubt(
    last: Look | None,
    now: Now,
    keep_ns: int,
    newest_ns: Callable[[], int | None],
    nearly_all_before: Callable[[int], bool],
    things: str,
) -> tuple[int, str] | None:
    """Return until when nothing is deleted by age, ns since 1970, and why; None without a new doubt.

    A wrong clock, or a mistyped `keep_days`, may explain what is seen. Without a last look, the newest of the
    `things` stands for it. `nearly_all_before` says whether NEARLY_ALL of them are from before a time.
    """
    jump_ns = max(JUMP_NS, JUMP_SHARE * keep_ns)
    before_ns = last.wall_ns if last is not None else newest_ns()
    if last is not None and last.boot_id == now.boot_id:
        in_doubt = abs(now.offset_ns - last.offset_ns) > jump_ns
    else:
        gap_ns = now.wall_ns - before_ns if before_ns is not None else 0
        in_doubt = not -jump_ns <= gap_ns <= max(JUMP_NS, BELIEVED_GAP * keep_ns)
    if in_doubt and before_ns is not None:
        times = f"from {shown(before_ns)} to {shown(now.wall_ns)}"
        why = f"the PC's clock went {times}: it was set, or the PC was off for long"
        return min(now.wall_ns + keep_ns, LATEST_NS), why
    lowered = last is None or keep_ns < last.keep_ns
    if lowered and nearly_all_before(now.wall_ns - keep_ns):
        why = f"keep_days would delete more than {NEARLY_ALL:.0%} of the {things} at once"
        return min(now.wall_ns + LOWERED_NS, LATEST_NS), why
    return None


def shown(time_ns: int) -> str:
    """A time for a log."""
    try:
        return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ns / 1e9:.0f} s"
