"""The archive's part of `inspector.clock_doubt`: it keeps the clocks of its last sweep itself."""

from collections.abc import Sequence

import msgspec

from inspector.clock_doubt import NEARLY_ALL, Look, Now, doubt


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
    last = None if before is None else Look(before.boot_id, before.offset_ns, before.at_ns, before.keep_ns)
    until_ns, why = doubt(
        last, now, keep_ns,
        lambda: max(began_ns, default=None),
        lambda before_ns: bool(began_ns) and began_ns[int(NEARLY_ALL * (len(began_ns) - 1))] < before_ns,
        "coils",
    ) or (0, "")  # fmt: skip
    if not until_ns and before is not None and before.hold_until_ns > now.wall_ns:
        until_ns, why = before.hold_until_ns, before.hold_why
    return Seen(now.boot_id, now.offset_ns, now.wall_ns, keep_ns, until_ns, why)
