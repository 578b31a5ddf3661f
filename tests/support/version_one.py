"""A database as version 1 of the records made it, with a run in it whose camera has counted from 0 twice."""

from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Inspector

from inspector.results import VERDICTS_NAME
from inspector.values import Verdict
from tests.support.recorded import SECOND_NS, STARTED_NS, defect, verdict

RUN_KEY: Final = "3f0c2b6e-6a1c-4a53-9c5e-2f8f6f0f7d10"
VERDICTS_LEFT: Final = 4
_FOLDER: Final = Path(__file__).parents[1] / "unit" / "inspector" / "sinks" / "records"


def of_version_one(dialect: str) -> str:
    """The statements that made its tables and rows."""
    return "".join((_FOLDER / f"version_1.{part}.sql").read_text() for part in (dialect, "rows"))


def verdicts() -> list[Verdict]:
    """What it recorded: three frames, then the camera counted from 0 again."""
    two = defect("top-0-1")
    return [
        verdict(0, two),
        verdict(1, two),
        verdict(2),
        verdict(0, captured_ns=STARTED_NS + SECOND_NS),
    ]


def write_log(folder: Path) -> None:
    """The log of version 1, which knows neither epoch nor codes; one more verdict than was recorded."""
    folder.mkdir(exist_ok=True)
    lines = [*verdicts(), verdict(1, captured_ns=STARTED_NS + 3600 * SECOND_NS)]
    with (folder / VERDICTS_NAME).open("wb") as log:
        for each in lines:
            known = msgspec.to_builtins(each)
            del known["ingest_epoch"], known["codes"]
            log.write(msgspec.json.encode(known) + b"\n")


def tables_in(found: Inspector) -> dict[str, Any]:
    """What tables there are, without the order of their columns and the names of their keys."""
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table)
            },
            "primary": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(table)),
            "indexes": sorted(
                (str(each["name"]), tuple(each["column_names"]), bool(each.get("dialect_options")))
                for each in found.get_indexes(table)
                if "duplicates_constraint" not in each
            ),
            "references": sorted(
                (each["constrained_columns"], each["referred_table"]) for each in found.get_foreign_keys(table)
            ),
        }
        for table in [*found.get_table_names(), *found.get_view_names()]
    }
