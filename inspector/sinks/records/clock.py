"""Whether the PC's clock is reliable enough to tell the age of records.

If the clock was wrong, new records look old; if it is wrong now, all of them do. So after anything that a wrong
clock may explain, nothing is deleted by age for `keep_days`. After that time all earlier records are older than
`keep_days`, whichever clock was right.
"""

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Function, func, insert, select, update

from inspector.sinks.records.schema import CLOCKS, RUNS, VERDICTS
from inspector.sinks.records.selection import iso_time

JUMP_NS: Final = 600 * 10**9
JUMP_SHARE: Final = 0.01
"""Smallest clock change that counts: the larger of ten minutes and this share of `keep_days`.

Smaller changes alter no age that matters.
"""

BELIEVED_GAP: Final = 0.5
"""Longest gap since the last look that counts as time switched off, as a share of `keep_days`.

If it is a clock error after all, a deleted record is still at least half of `keep_days` old.
"""

NEARLY_ALL: Final = 0.9
"""Share of the records that a lower `keep_days` must not delete on its first day."""

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


def read_clocks() -> Now:
    """Read both clocks of this PC."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot_id = "unknown"
    return Now(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), boot_id)


@dataclass(frozen=True, slots=True)
class Hold:
    """A period in which nothing is deleted by age."""

    until_ns: int
    why: str
    is_new: bool


def look(connection: Connection, now: Now, keep_ns: int) -> Hold | None:
    """Compare the clocks with those at this PC's last sweep and store them; the caller holds a transaction.

    `keep_ns` is the config's `keep_days`. Returns the hold in force, None if there is no doubt about the clock.
    """
    host = socket.gethostname()
    row = connection.execute(select(CLOCKS).where(CLOCKS.c.host == host)).mappings().first()
    hold = _doubt(connection, row, now, keep_ns)
    if hold is None and row is not None and row["hold_until_ns"] > now.wall_ns:
        hold = Hold(row["hold_until_ns"], row["hold_why"], is_new=False)
    values = {
        "boot_id": now.boot_id,
        "offset_ns": now.offset_ns,
        "seen_ns": now.wall_ns,
        "keep_ns": keep_ns,
        "hold_until_ns": hold.until_ns if hold is not None else 0,
        "hold_why": hold.why if hold is not None else None,
    }
    if row is None:
        connection.execute(insert(CLOCKS).values(host=host, **values))
    else:
        connection.execute(update(CLOCKS).where(CLOCKS.c.host == host).values(**values))
    return hold


def _doubt(connection: Connection, row: Any, now: Now, keep_ns: int) -> Hold | None:
    """Return a new hold if a wrong clock or a mistyped `keep_days` may explain what is seen."""
    jump_ns = max(JUMP_NS, JUMP_SHARE * keep_ns)
    if row is not None and row["boot_id"] == now.boot_id:
        before_ns = row["seen_ns"]
        in_doubt = abs(now.offset_ns - row["offset_ns"]) > jump_ns
    else:
        before_ns = row["seen_ns"] if row is not None else _newest_ns(connection)
        gap_ns = now.wall_ns - before_ns if before_ns is not None else 0
        in_doubt = not -jump_ns <= gap_ns <= max(JUMP_NS, BELIEVED_GAP * keep_ns)
    if in_doubt:
        times = f"from {_shown(before_ns)} to {_shown(now.wall_ns)}"
        why = f"the PC's clock went {times}: it was set, or the PC was off for long"
        return Hold(min(now.wall_ns + keep_ns, LATEST_NS), why, is_new=True)
    lowered = row is None or keep_ns < row["keep_ns"]
    if lowered and _nearly_all(connection, now.wall_ns - keep_ns):
        why = f"keep_days would delete more than {NEARLY_ALL:.0%} of the records at once"
        return Hold(min(now.wall_ns + LOWERED_NS, LATEST_NS), why, is_new=True)
    return None


def _shown(time_ns: int | None) -> str:
    return "" if time_ns is None else f"{iso_time(time_ns)[:19]}Z"


def _ids(connection: Connection, end: Function[int], from_id: int = 0) -> list[int]:
    """First or last record id of each of this PC's runs, from `from_id` on. An index finds it run by run."""
    id_ = select(end).where(VERDICTS.c.run_id == RUNS.c.id, VERDICTS.c.id >= from_id).scalar_subquery()
    query = select(id_).select_from(RUNS).where(RUNS.c.host == socket.gethostname())
    return [found for found in connection.execute(query).scalars() if found is not None]


def _recorded_ns(connection: Connection, id_: int) -> int:
    return int(connection.execute(select(VERDICTS.c.recorded_ns).where(VERDICTS.c.id == id_)).scalar_one())


def _newest_ns(connection: Connection) -> int | None:
    """When this PC's newest record was made."""
    last = max(_ids(connection, func.max(VERDICTS.c.id)), default=None)
    return None if last is None else _recorded_ns(connection, last)


def _nearly_all(connection: Connection, before_ns: int) -> bool:
    """Whether the record at nine tenths of the way from the oldest to the newest id is older than `before_ns`."""
    firsts, lasts = _ids(connection, func.min(VERDICTS.c.id)), _ids(connection, func.max(VERDICTS.c.id))
    if not firsts:
        return False
    there = min(firsts) + int(NEARLY_ALL * (max(lasts) - min(firsts)))
    found = min(_ids(connection, func.min(VERDICTS.c.id), there))
    return _recorded_ns(connection, found) < before_ns
