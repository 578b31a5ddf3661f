"""The records' part of `inspector.clock_doubt`: this PC's last look and its records, in the database."""

import socket
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Function, func, insert, select, update

from inspector.clock_doubt import NEARLY_ALL, Look, Now, doubt
from inspector.sinks.records.schema import CLOCKS, RUNS, VERDICTS


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
    last = None if row is None else Look(row["boot_id"], row["offset_ns"], row["seen_ns"], row["keep_ns"])
    newest, nearly_all = partial(_newest_ns, connection), partial(_nearly_all, connection)
    found = doubt(last, now, keep_ns, newest, nearly_all, "records")
    return None if found is None else Hold(*found, is_new=True)


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
