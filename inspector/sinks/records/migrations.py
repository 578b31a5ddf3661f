"""Migrations of tables from older versions. A published migration never changes.

Each is written in SQL, because the tables in `schema` may have changed by then.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, inspect, text

Migration = Callable[[Connection], None]

_VERDICTS: Final = """id, run_id, camera, frame_id, captured_ns, recorded_ns, position_mm, coil, decision, reasons,
defects, recipe_id, engine_id, file, transfer_ms, batch_ms, engine_ms, decide_ms, total_ms"""
_DEFECTS: Final = """run_id, camera, frame_id, captured_ns, n, defect_id, began_ns, kind, name, x_px, y_px,
width_px, height_px, area_px, area_mm2, across_mm, along_mm, score"""

# SQLite cannot change a table's key, so the table is copied.
_SQLITE_TABLES: Final = f"""
CREATE TABLE verdicts_2 (
  id INTEGER NOT NULL PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs (id),
  camera TEXT NOT NULL,
  ingest_epoch BIGINT NOT NULL,
  frame_id BIGINT NOT NULL,
  captured_ns BIGINT NOT NULL,
  recorded_ns BIGINT NOT NULL,
  position_mm DOUBLE NOT NULL,
  coil TEXT,
  decision VARCHAR(11) NOT NULL,
  reasons TEXT,
  codes TEXT,
  defects INTEGER NOT NULL,
  recipe_id INTEGER NOT NULL REFERENCES recipes (id),
  engine_id INTEGER NOT NULL REFERENCES engines (id),
  file TEXT,
  transfer_ms DOUBLE,
  batch_ms DOUBLE,
  engine_ms DOUBLE,
  decide_ms DOUBLE,
  total_ms DOUBLE,
  UNIQUE (run_id, camera, frame_id, ingest_epoch)
);
INSERT INTO verdicts_2 ({_VERDICTS}, ingest_epoch) SELECT {_VERDICTS}, -captured_ns FROM verdicts ORDER BY id;
DROP TABLE verdicts;
ALTER TABLE verdicts_2 RENAME TO verdicts;
CREATE INDEX verdicts_by_coil ON verdicts (coil, id);
CREATE INDEX verdicts_by_time ON verdicts (captured_ns);
CREATE INDEX verdicts_by_run ON verdicts (run_id, id);
CREATE INDEX verdicts_rejected ON verdicts (run_id, decision, id) WHERE decision = 'reject';
CREATE TABLE defects_2 (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  camera TEXT NOT NULL,
  ingest_epoch BIGINT NOT NULL,
  frame_id BIGINT NOT NULL,
  captured_ns BIGINT NOT NULL,
  n INTEGER NOT NULL,
  defect_id TEXT NOT NULL,
  began_ns BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  x_px INTEGER NOT NULL,
  y_px INTEGER NOT NULL,
  width_px INTEGER NOT NULL,
  height_px INTEGER NOT NULL,
  area_px INTEGER NOT NULL,
  area_mm2 DOUBLE NOT NULL,
  across_mm DOUBLE NOT NULL,
  along_mm DOUBLE NOT NULL,
  score DOUBLE NOT NULL,
  UNIQUE (run_id, camera, frame_id, ingest_epoch, n)
);
INSERT INTO defects_2 ({_DEFECTS}, ingest_epoch) SELECT {_DEFECTS}, -captured_ns FROM defects;
DROP TABLE defects;
ALTER TABLE defects_2 RENAME TO defects;
"""  # noqa: S608  # no input in it

_POSTGRESQL_TABLES: Final = """
ALTER TABLE verdicts ADD COLUMN ingest_epoch BIGINT, ADD COLUMN codes TEXT;
UPDATE verdicts SET ingest_epoch = -captured_ns;
ALTER TABLE verdicts ALTER COLUMN ingest_epoch SET NOT NULL, DROP CONSTRAINT "{verdicts_key}",
  ADD UNIQUE (run_id, camera, frame_id, ingest_epoch);
DROP INDEX verdicts_rejected;
CREATE INDEX verdicts_rejected ON verdicts (run_id, decision, id) WHERE decision = 'reject';
ALTER TABLE defects ADD COLUMN ingest_epoch BIGINT;
UPDATE defects SET ingest_epoch = -captured_ns;
ALTER TABLE defects ALTER COLUMN ingest_epoch SET NOT NULL, DROP CONSTRAINT "{defects_key}",
  ADD UNIQUE (run_id, camera, frame_id, ingest_epoch, n);
"""

# First rows of `ingests`: a restart continues after the last record, even if retention deletes all of them.
_BOTH: Final = """
CREATE VIEW strip_defects AS SELECT
  run_id, camera, defect_id, began_ns, MAX(captured_ns) AS ended_ns, MIN(frame_id) AS first_frame,
  MAX(frame_id) AS last_frame, COUNT(DISTINCT frame_id) AS frames, MIN(kind) AS kind, MIN(name) AS name,
  SUM(area_px) AS area_px, SUM(area_mm2) AS area_mm2, SUM(across_mm * area_px) / SUM(area_px) AS across_mm,
  SUM(along_mm * area_px) / SUM(area_px) AS along_mm, SUM(score * area_px) / SUM(area_px) AS score
FROM defects GROUP BY run_id, camera, defect_id, began_ns;
CREATE TABLE ingests (
  run_id {row_id} NOT NULL REFERENCES runs (id),
  camera TEXT NOT NULL,
  ingest_epoch BIGINT NOT NULL,
  recorded_to BIGINT,
  deleted_to BIGINT,
  PRIMARY KEY (run_id, camera, ingest_epoch)
);
INSERT INTO ingests (run_id, camera, ingest_epoch, recorded_to)
  SELECT run_id, camera, 0, MAX(captured_ns) FROM verdicts GROUP BY run_id, camera;
CREATE TABLE clocks (
  host TEXT NOT NULL PRIMARY KEY,
  boot_id TEXT NOT NULL,
  offset_ns BIGINT NOT NULL,
  seen_ns BIGINT NOT NULL,
  keep_ns BIGINT NOT NULL,
  hold_until_ns BIGINT NOT NULL,
  hold_why TEXT
);
"""


def _frames_by_ingest(connection: Connection) -> None:
    """Migrate to version 2: a frame's key has its ingest instead of its capture time; verdicts have codes.

    Records of version 1 have no ingest, and the capture time still distinguishes them: `ingest_epoch` holds it as
    a negative number.
    """
    connection.execute(text("DROP VIEW strip_defects"))
    if connection.dialect.name == "sqlite":
        script = _SQLITE_TABLES + _BOTH.format(row_id="INTEGER")
    else:
        # Rewriting a table of years exceeds the time-out of a batch.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        keys = {
            f"{table}_key": inspect(connection).get_unique_constraints(table)[0]["name"]
            for table in ("verdicts", "defects")
        }
        script = _POSTGRESQL_TABLES.format(**keys) + _BOTH.format(row_id="BIGINT")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(text(statement))


_COILS: Final = """
CREATE TABLE coils (
  id {id},
  strip_key VARCHAR(36) NOT NULL,
  number INTEGER NOT NULL,
  line TEXT NOT NULL,
  coil TEXT NOT NULL,
  grade TEXT NOT NULL,
  customer TEXT NOT NULL,
  width_mm {double},
  thickness_mm {double},
  stated_length_mm {double},
  started_ns BIGINT NOT NULL,
  ended_ns BIGINT,
  start_mm {double} NOT NULL,
  end_mm {double},
  length_mm {double},
  plan TEXT NOT NULL,
  plan_why TEXT NOT NULL,
  recipe TEXT NOT NULL,
  verdict VARCHAR(16),
  reasons TEXT,
  defects INTEGER,
  counts TEXT,
  uninspected_mm {double},
  roll_marks TEXT,
  UNIQUE (strip_key, number)
);
CREATE INDEX coils_by_coil ON coils (coil);
CREATE INDEX coils_by_start ON coils (started_ns);
"""


def _coils(connection: Connection) -> None:
    """Migrate to version 3: a table of coils."""
    sqlite = connection.dialect.name == "sqlite"
    key = "INTEGER NOT NULL PRIMARY KEY" if sqlite else "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
    script = _COILS.format(id=key, double="DOUBLE" if sqlite else "DOUBLE PRECISION")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(text(statement))


MIGRATIONS: Final[Sequence[Migration]] = (_frames_by_ingest, _coils)
"""Migrations from version N to N + 1; the first is from 1 to 2."""
