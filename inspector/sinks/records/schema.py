"""The tables of the records. `migrations` upgrades a database of an older version."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
    update,
)

from inspector.errors import ConfigError
from inspector.sinks.records.migrations import MIGRATIONS, Migration

log = structlog.get_logger()

METADATA: Final = MetaData()

RowId = BigInteger().with_variant(Integer, "sqlite")
"""Type of a row id: SQLite numbers rows only if the column's type is INTEGER."""

SCHEMA_VERSION: Final = Table("schema_version", METADATA, Column("version", Integer, nullable=False))

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", RowId, Identity(), primary_key=True),
    Column("key", String(36), nullable=False, unique=True),  # stays the same when decide restarts
    Column("line", Text, nullable=False),  # config: name and content hash
    Column("host", Text, nullable=False),
    Column("folder", Text, nullable=False),  # where its pictures are on that host
    Column("started_ns", BigInteger, nullable=False),
)

RECIPES: Final = Table(
    "recipes",
    METADATA,
    Column("id", RowId, Identity(), primary_key=True),
    Column("identity", Text, nullable=False, unique=True),  # name and content hash
)

ENGINES: Final = Table(
    "engines",
    METADATA,
    Column("id", RowId, Identity(), primary_key=True),
    Column("identity", Text, nullable=False, unique=True),
)


def _frame_key() -> list[Column[int] | Column[str]]:
    """The columns that identify one frame: a restarted ingest counts from 0 again within the same run."""
    return [
        Column("run_id", ForeignKey("runs.id"), nullable=False),
        Column("camera", Text, nullable=False),
        # Start of the ingest, monotonic clock. An older version did not record it: then minus the capture time.
        Column("ingest_epoch", BigInteger, nullable=False),
        Column("frame_id", BigInteger, nullable=False),
    ]


FRAME_KEY: Final = ("run_id", "camera", "frame_id", "ingest_epoch")
"""Order of the key's columns: the index also finds a frame by its number without the ingest, as retention does."""

VERDICTS: Final = Table(
    "verdicts",
    METADATA,
    Column("id", RowId, Identity(), primary_key=True),  # in the order of recording
    *_frame_key(),
    Column("captured_ns", BigInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),  # retention uses it as the age
    Column("position_mm", Double, nullable=False),
    Column("coil", Text),
    Column("decision", String(11), nullable=False),
    Column("reasons", Text),  # a JSON list; NULL without reasons
    Column("codes", Text),  # a JSON list, one code per reason; NULL without codes
    Column("defects", Integer, nullable=False),  # number of defects in the frame
    Column("recipe_id", ForeignKey("recipes.id"), nullable=False),
    Column("engine_id", ForeignKey("engines.id"), nullable=False),
    Column("file", Text),
    Column("transfer_ms", Double),
    Column("batch_ms", Double),
    Column("engine_ms", Double),
    Column("decide_ms", Double),
    Column("total_ms", Double),  # capture to verdict
    UniqueConstraint(*FRAME_KEY),
    Index("verdicts_by_coil", "coil", "id"),
    Index("verdicts_by_time", "captured_ns"),
    Index("verdicts_by_run", "run_id", "id"),
)
# Retention looks for the few frames with pictures. With the decision as a column this index matches better than
# `verdicts_by_run`; without it, SQLite may use either.
Index(
    "verdicts_rejected",
    VERDICTS.c.run_id,
    VERDICTS.c.decision,
    VERDICTS.c.id,
    sqlite_where=VERDICTS.c.decision == "reject",
    postgresql_where=VERDICTS.c.decision == "reject",
)

DEFECTS: Final = Table(
    "defects",
    METADATA,
    *_frame_key(),
    Column("captured_ns", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),  # index in the verdict's defects, and in its crops' names
    Column("defect_id", Text, nullable=False),  # the same in every frame that shows the defect
    Column("began_ns", BigInteger, nullable=False),  # capture time of the first frame that shows it
    Column("kind", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("x_px", Integer, nullable=False),
    Column("y_px", Integer, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("area_px", Integer, nullable=False),
    Column("area_mm2", Double, nullable=False),
    Column("across_mm", Double, nullable=False),
    Column("along_mm", Double, nullable=False),
    Column("score", Double, nullable=False),
    UniqueConstraint(*FRAME_KEY, "n"),
)

MARKS: Final = Table(
    "marks",
    METADATA,
    Column("id", RowId, Identity(), primary_key=True),
    Column("coil", Text),  # either a coil …
    Column("run_id", ForeignKey("runs.id")),  # … or one frame
    Column("camera", Text),
    Column("frame_id", BigInteger),
    Column("note", Text, nullable=False),
    Column("marked_by", Text, nullable=False),
    Column("marked_ns", BigInteger, nullable=False),
    Index("marks_by_coil", "coil"),
    Index("marks_by_frame", "run_id", "camera", "frame_id"),
)

INGESTS: Final = Table(
    "ingests",
    METADATA,
    # How far a run's log is recorded. Rows outlive the records, so that no restart or import writes deleted ones
    # again.
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("ingest_epoch", BigInteger, primary_key=True, autoincrement=False),  # 0 if the log does not contain it
    # Frame numbers; capture times if ingest_epoch is 0, because numbers restart there.
    Column("recorded_to", BigInteger),
    Column("deleted_to", BigInteger),
)

CLOCKS: Final = Table(
    "clocks",
    METADATA,
    # A PC's clock at retention's last sweep.
    Column("host", Text, primary_key=True),
    Column("boot_id", Text, nullable=False),
    Column("offset_ns", BigInteger, nullable=False),  # wall clock minus the time since boot
    Column("seen_ns", BigInteger, nullable=False),  # wall clock
    Column("keep_ns", BigInteger, nullable=False),  # keep_days of the config
    Column("hold_until_ns", BigInteger, nullable=False),  # nothing is deleted by age before this
    Column("hold_why", Text),
)

COILS: Final = Table(
    "coils",
    METADATA,
    # A coil on a line's strip. It is written at its start and again, with the verdict, when it is judged.
    Column("id", RowId, Identity(), primary_key=True),
    Column("strip_key", String(36), nullable=False),  # the strip's folder: coils are numbered within it
    Column("number", Integer, nullable=False),  # 1, 2, 3, … in the order of their starts
    Column("line", Text, nullable=False),  # config: name and content hash
    Column("coil", Text, nullable=False),
    Column("grade", Text, nullable=False),  # empty if it was not stated, as customer
    Column("customer", Text, nullable=False),
    Column("width_mm", Double),  # as stated, as the next two
    Column("thickness_mm", Double),
    Column("stated_length_mm", Double),
    Column("started_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("start_mm", Double, nullable=False),  # position of the head on the strip
    Column("end_mm", Double),
    Column("length_mm", Double),  # by the encoder
    Column("plan", Text, nullable=False),  # name; empty for the default
    Column("plan_why", Text, nullable=False),
    Column("recipe", Text, nullable=False),  # name and content hash
    Column("verdict", String(16)),  # release, downgrade, hold; NULL until it is judged
    Column("reasons", Text),  # a JSON list
    Column("defects", Integer),
    Column("counts", Text),  # JSON: class → defects
    Column("uninspected_mm", Double),
    Column("roll_marks", Text),  # a JSON list of texts
    UniqueConstraint("strip_key", "number"),
    Index("coils_by_coil", "coil"),
    Index("coils_by_start", "started_ns"),
)

STRIP_DEFECTS: Final = "strip_defects"
"""View with one row per defect on the strip, over all frames that show it."""

STRIP_DEFECT_COLUMNS: Final = (
    "run_id, camera, defect_id, began_ns, MAX(captured_ns) AS ended_ns, MIN(frame_id) AS first_frame, "
    "MAX(frame_id) AS last_frame, COUNT(DISTINCT frame_id) AS frames, MIN(kind) AS kind, MIN(name) AS name, "
    "SUM(area_px) AS area_px, SUM(area_mm2) AS area_mm2, "
    # The centre, weighted by area; a defect's area is at least one pixel.
    "SUM(across_mm * area_px) / SUM(area_px) AS across_mm, SUM(along_mm * area_px) / SUM(area_px) AS along_mm, "
    "SUM(score * area_px) / SUM(area_px) AS score"
)

NEWEST: Final = 1 + len(MIGRATIONS)
"""Schema version of this inspector."""

_SETTLING_LOCK: Final = 0x7374_6565_6C
"""PostgreSQL's advisory lock for schema changes ("steel"): two lines may start at once."""


def bring_up_to_date(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Create the tables, or migrate older ones, in the transaction of `connection`.

    Returns the version found, 0 for an empty database. Raises ConfigError for a newer one.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_SETTLING_LOCK})"))
    newest = 1 + len(migrations)
    before = stored_version(connection)
    refuse_newer(before, newest)
    if before == 0:
        _make_tables(connection)
        connection.execute(insert(SCHEMA_VERSION).values(version=newest))
    elif before < newest:
        log.info("database schema is migrated, which may take minutes", schema_version=before, to=newest)
        for migrate in migrations[before - 1 :]:
            migrate(connection)
        connection.execute(update(SCHEMA_VERSION).values(version=newest))
    return before


def _make_tables(connection: Connection) -> None:
    METADATA.create_all(connection)
    connection.execute(
        text(
            f"CREATE VIEW {STRIP_DEFECTS} AS SELECT {STRIP_DEFECT_COLUMNS} FROM defects "  # noqa: S608
            "GROUP BY run_id, camera, defect_id, began_ns"
        )
    )


def stored_version(connection: Connection) -> int:
    """Return the version of the existing tables; 0 without tables."""
    if not inspect(connection).has_table(SCHEMA_VERSION.name):
        return 0
    return connection.execute(select(SCHEMA_VERSION.c.version)).scalar() or 0


def refuse_newer(version: int, known: int = NEWEST) -> None:
    """Raise ConfigError for the tables of a newer inspector: its new columns would stay empty."""
    if version > known:
        raise ConfigError(
            f"records.url: the database has schema version {version}, this inspector knows up to {known}: "
            "install the newer inspector that made it, or give another database"
        )
