"""Reads the records for the page, over a read-only connection."""

import sqlite3
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from inspector.errors import WorkError
from inspector.serve.segments import join_segments
from inspector.serve.store import UnknownError
from inspector.sinks.records.database import BUSY_S, CONNECT_S, parse_url, reason, shown
from inspector.sinks.records.schema import refuse_newer, stored_version

STATEMENT_S: Final = 10
"""Time-out of a statement on PostgreSQL, seconds."""

MOST_SCANNED: Final = 2_000
"""Most coils examined for one search."""

MOST_FRAMES: Final = 1_000_000
"""Frames of one coil that a map shows."""

MOST_DEFECTS: Final = 20_000
"""Parts of defects of one coil that a map shows."""

_DECISIONS: Final = {"accept": 0, "reject": 1, "uninspected": 2}

# Jumps from coil to coil along the index, so that years of frames are not read.
_COILS: Final = """
WITH RECURSIVE each (coil) AS (
  SELECT MIN(coil) FROM verdicts
  UNION ALL
  SELECT (SELECT MIN(coil) FROM verdicts WHERE coil > each.coil) FROM each WHERE each.coil IS NOT NULL
)
SELECT coil, (SELECT MAX(id) FROM verdicts WHERE coil = each.coil) AS newest FROM each WHERE coil IS NOT NULL
UNION ALL
SELECT NULL, newest FROM (SELECT MAX(id) AS newest FROM verdicts WHERE coil IS NULL) AS loose
WHERE newest IS NOT NULL
ORDER BY newest DESC
"""

_SUMMARY: Final = """
SELECT run_id, camera, decision, COUNT(*) AS frames, MIN(captured_ns) AS from_ns, MAX(captured_ns) AS to_ns,
  MIN(position_mm) AS from_mm, MAX(position_mm) AS to_mm FROM verdicts WHERE {coil}
GROUP BY run_id, camera, decision
"""

_KINDS: Final = """
SELECT defects.run_id, defects.kind, MIN(defects.name) AS name, COUNT(*) AS parts, SUM(area_mm2) AS area_mm2
FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id AND defects.camera = verdicts.camera
  AND defects.frame_id = verdicts.frame_id AND defects.ingest_epoch = verdicts.ingest_epoch
WHERE {coil} AND verdicts.defects > 0 GROUP BY defects.run_id, defects.kind, defects.name
"""

_FRAMES: Final = """
SELECT camera, position_mm, decision, ingest_epoch FROM verdicts
WHERE {coil} AND run_id = :run ORDER BY camera, captured_ns, frame_id LIMIT :most
"""

_PARTS: Final = """
SELECT defects.camera, defects.ingest_epoch, defects.frame_id, defects.captured_ns, n, defect_id, began_ns, kind,
  name, x_px, y_px, width_px, height_px, area_mm2, across_mm, along_mm, score, decision
FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id AND defects.camera = verdicts.camera
  AND defects.frame_id = verdicts.frame_id AND defects.ingest_epoch = verdicts.ingest_epoch
WHERE {coil} AND verdicts.run_id = :run AND verdicts.defects > 0 LIMIT :most
"""


def _of(query: str, coil: str | None) -> str:
    return query.format(coil="verdicts.coil IS NULL" if coil is None else "verdicts.coil = :coil")


class Results:
    """The records of one database."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.shown = shown(parsed)
        self._summaries: dict[tuple[str | None, int], list[dict[str, Any]]] = {}
        self._file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        if self._file is not None:
            self._engine = create_engine("sqlite://", creator=self._open, poolclass=NullPool)
            # For a read, the driver itself would begin no transaction and so take no snapshot.
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        else:
            self._engine = create_engine(parsed, connect_args=_SERVER_OPTIONS, poolclass=NullPool)

    def _open(self) -> sqlite3.Connection:
        """Open SQLite's file for reading only.

        In a folder of another user, the write-ahead log cannot be made when no line runs. Then nobody writes, and
        the file is read as it is.
        """
        name = urllib.parse.quote(str(self._file))
        try:
            return _settled(f"file:{name}?mode=ro")
        except sqlite3.OperationalError:
            if self._file is None or Path(f"{self._file}-wal").exists():
                raise
            return _settled(f"file:{name}?mode=ro&immutable=1")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection within one snapshot. Raises WorkError if there are none or the database fails."""
        if self._file is not None and not self._file.exists():
            raise WorkError("nothing was recorded yet: [records] enabled = true in the line's config records it")
        try:
            with self._engine.connect() as connection, connection.begin():
                version = stored_version(connection)
                refuse_newer(version)
                if not version:
                    raise WorkError("nothing was recorded yet")
                yield connection
        except DBAPIError as error:
            raise WorkError(f"{self.shown}: {reason(error)}") from None

    def coils(self, *, search: str, kind: str, from_ns: int, to_ns: int, count: int) -> list[dict[str, Any]]:
        """Return the newest coils that match, newest first."""
        wanted = search.casefold()
        with self.reading() as connection:
            found: list[dict[str, Any]] = []
            for row in connection.execute(text(_COILS)).fetchmany(MOST_SCANNED):
                coil, newest = row
                if wanted and wanted not in (coil or "").casefold():
                    continue
                for summary in self._summary(connection, coil, newest):
                    in_time = summary["to_ns"] >= from_ns and summary["from_ns"] <= to_ns
                    if in_time and (not kind or kind in (each["name"] for each in summary["kinds"])):
                        found.append(summary)
                if len(found) >= count:
                    break
        return sorted(found, key=lambda each: -each["to_ns"])[:count]

    def _summary(self, connection: Connection, coil: str | None, newest: int) -> list[dict[str, Any]]:
        """Return one summary per run; remembered as long as the coil gets no further frame."""
        key = (coil, newest)
        if key not in self._summaries:
            if len(self._summaries) > 2 * MOST_SCANNED:
                self._summaries.clear()
            self._summaries[key] = _summaries(connection, coil)
        return self._summaries[key]

    def coil(self, coil: str | None, run: int) -> dict[str, Any]:
        """Return a coil's summary, the stretches of its map, and its defects, the most severe first."""
        with self.reading() as connection:
            summary = next((each for each in _summaries(connection, coil) if each["run"] == run), None)
            if summary is None:
                raise UnknownError(f"coil {coil}: not in the records")
            values = {"coil": coil, "run": run}
            frames = connection.execute(text(_of(_FRAMES, coil)), values | {"most": MOST_FRAMES})
            segments = join_segments(frames, _DECISIONS)
            parts = connection.execute(text(_of(_PARTS, coil)), values | {"most": MOST_DEFECTS})
            defects = _strip_defects(parts.mappings())
        return summary | {"segments": segments, "defects": defects}

    def folder(self, run: int) -> Path:
        """Return the folder of a run's results on this PC. Raises UnknownError."""
        with self.reading() as connection:
            found = connection.execute(text("SELECT folder FROM runs WHERE id = :run"), {"run": run}).scalar()
        if found is None:
            raise UnknownError(f"run {run}: not in the records")
        return Path(found)

    def scores(self, since_ns: int, most: int) -> list[dict[str, Any]]:
        """Return kind, score, area and frame decision of the defects captured since then, newest first."""
        query = """
        SELECT kind, MIN(name) AS name, defect_id, SUM(score * area_px) / SUM(area_px) AS score,
          SUM(defects.area_mm2) AS area_mm2 FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id
          AND defects.camera = verdicts.camera AND defects.frame_id = verdicts.frame_id
          AND defects.ingest_epoch = verdicts.ingest_epoch
        WHERE verdicts.captured_ns >= :since AND verdicts.defects > 0
        GROUP BY defects.run_id, defects.camera, defect_id, began_ns, kind LIMIT :most
        """
        with self.reading() as connection:
            found = connection.execute(text(query), {"since": since_ns, "most": most}).mappings()
            return [
                {"kind": row["kind"], "name": row["name"], "score": row["score"], "area_mm2": row["area_mm2"]}
                for row in found
            ]


_SERVER_OPTIONS: Final = {
    "connect_timeout": CONNECT_S,
    "options": f"-c statement_timeout={1000 * STATEMENT_S} -c default_transaction_read_only=on",
    "application_name": "strip-inspector page",
}


def _settled(uri: str) -> sqlite3.Connection:
    """Open, and read once: only a read finds out whether the write-ahead log can be used."""
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _summaries(connection: Connection, coil: str | None) -> list[dict[str, Any]]:
    runs: dict[int, dict[str, Any]] = {}
    for row in connection.execute(text(_of(_SUMMARY, coil)), {"coil": coil}).mappings():
        run = runs.setdefault(
            row["run_id"],
            {
                "coil": coil, "run": row["run_id"], "accept": 0, "reject": 0, "uninspected": 0, "cameras": [],
                "from_ns": row["from_ns"], "to_ns": row["to_ns"], "from_mm": row["from_mm"], "to_mm": row["to_mm"],
                "kinds": [],
            },
        )  # fmt: skip
        run[row["decision"]] += row["frames"]
        run["cameras"] = sorted({*run["cameras"], row["camera"]})
        for name, choose in (("from_ns", min), ("to_ns", max), ("from_mm", min), ("to_mm", max)):
            run[name] = choose(run[name], row[name])
    for row in connection.execute(text(_of(_KINDS, coil)), {"coil": coil}).mappings():
        if row["run_id"] in runs:
            runs[row["run_id"]]["kinds"].append(
                {"kind": row["kind"], "name": row["name"], "parts": row["parts"], "area_mm2": row["area_mm2"]}
            )
    for run in runs.values():
        run["from_ms"], run["to_ms"] = run["from_ns"] // 1_000_000, run["to_ns"] // 1_000_000
        run["kinds"].sort(key=lambda each: -each["area_mm2"])
    return list(runs.values())


def _strip_defects(parts: Iterable[RowMapping]) -> list[dict[str, Any]]:
    """Put the parts of each defect together; its picture is that of its largest part."""
    whole: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in parts:
        key = (part["camera"], part["defect_id"], part["began_ns"])
        area = part["area_mm2"]
        defect = whole.setdefault(
            key,
            {
                "camera": part["camera"], "kind": part["kind"], "name": part["name"], "area_mm2": 0.0,
                "frames": 0, "rejected": False, "across_mm": 0.0, "along_mm": 0.0, "score": 0.0, "largest": -1.0,
            },
        )  # fmt: skip
        defect["area_mm2"] += area
        defect["frames"] += 1
        defect["rejected"] |= part["decision"] == "reject"
        for name in ("across_mm", "along_mm", "score"):
            defect[name] += part[name] * area
        if area > defect["largest"]:
            defect |= {
                "largest": area, "frame": part["frame_id"], "epoch": str(part["ingest_epoch"]), "n": part["n"],
                "captured_ms": part["captured_ns"] // 1_000_000,
                "box": [part["x_px"], part["y_px"], part["width_px"], part["height_px"]],
            }  # fmt: skip
            whole[key] = defect
    for defect in whole.values():
        for name in ("across_mm", "along_mm", "score"):
            defect[name] = round(defect[name] / max(defect["area_mm2"], 1e-9), 3)
        del defect["largest"]
        defect["area_mm2"] = round(defect["area_mm2"], 1)
    return sorted(whole.values(), key=lambda each: (not each["rejected"], -each["area_mm2"]))
