"""Writes coils to the records' database in a thread, so that an unreachable database delays no order."""

import json
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog

from inspector.config.line import LoadedConfig
from inspector.core.strip.coils import Coil
from inspector.extras import needs_extra
from inspector.files import write_whole
from inspector.repeated import Repeated
from inspector.sinks.coil_results import CoilResult

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEY_NAME: Final = "strip-key"

RETRY_S: Final = 5.0
"""Pause before retrying an unreachable database, seconds."""

log = structlog.get_logger()

Row = dict[str, Any]


def strip_key(folder: Path) -> str:
    """Return the key that separates this strip's coils from other lines' in one database. Raises OSError."""
    path = folder / KEY_NAME
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_whole(path, str(uuid4()).encode())
        return path.read_text(encoding="ascii")


class CoilRecords:
    """Writes a row per coil at its start, and again with its verdict."""

    def __init__(self, config: LoadedConfig, key: str) -> None:
        """Raises InputError if a library is missing or the URL is wrong."""
        with needs_extra("records"):
            from inspector.sinks.records.database import Database
        self._database = Database(str(config.line.records.url))
        self._key, self._line = key, config.identity
        self._queue: queue.Queue[Row] = queue.Queue()
        self._waiting: Row | None = None
        self._missed = Repeated()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coil-records", daemon=True)
        self._thread.start()

    def put(self, coil: Coil, result: CoilResult | None) -> None:
        """Queue a coil, with its result if it has one."""
        self._queue.put(_row(coil, result) | {"strip_key": self._key, "line": self._line})

    def close(self) -> None:
        """Write the queue if the database accepts it now; the next start writes the rest."""
        self._stop.set()
        self._thread.join(timeout=0.5)

    def _run(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from inspector.errors import ConfigError

        while True:
            try:
                row = self._waiting or self._queue.get(timeout=0.2)
            except queue.Empty:
                if self._stop.is_set():
                    return
                continue
            self._waiting = row
            try:
                with self._database.writing() as connection, connection.begin():
                    _replace(connection, row)
                self._waiting = None
            except (SQLAlchemyError, OSError, ConfigError) as error:
                if (count := self._missed.due()) is not None:
                    log.warning("coil cannot be recorded: retrying", why=str(error).splitlines()[0], count=count)
                if self._stop.wait(RETRY_S):
                    return


def _replace(connection: "Connection", row: Row) -> None:
    from sqlalchemy import delete, insert

    from inspector.sinks.records.schema import COILS

    here = (COILS.c.strip_key == row["strip_key"]) & (COILS.c.number == row["number"])
    connection.execute(delete(COILS).where(here))
    connection.execute(insert(COILS).values(**row))


def _row(coil: Coil, result: CoilResult | None) -> Row:
    data, start = coil.start.coil, coil.start
    row: Row = {
        "number": coil.number,
        "coil": coil.id,
        "grade": data.grade,
        "customer": data.customer,
        "width_mm": data.width_mm,
        "thickness_mm": data.thickness_mm,
        "stated_length_mm": data.length_mm,
        "started_ns": start.at_ns,
        "ended_ns": coil.end_ns,
        "start_mm": start.position_mm,
        "end_mm": coil.end_mm,
        "length_mm": None if coil.end_mm is None else coil.end_mm - coil.start_mm,
        "plan": start.plan,
        "plan_why": start.plan_why,
        "recipe": start.recipe,
    }
    if result is not None:
        row |= {
            "verdict": result.verdict,
            "reasons": json.dumps(result.reasons, ensure_ascii=False),
            "defects": result.count,
            "counts": json.dumps(result.counts, ensure_ascii=False),
            "uninspected_mm": result.uninspected_mm,
            "roll_marks": json.dumps([mark.text for mark in result.roll_marks], ensure_ascii=False),
        }
    return row
