"""`inspector records import`: copies records missing from the database from the verdict logs."""

import json
from pathlib import Path

from inspector.config.line import load_config
from inspector.extras import needs_extra


def import_runs(config_path: Path, folders: list[Path], *, as_json: bool) -> int:
    """Import the verdicts that the runs logged and the config's database lacks; returns the exit code.

    The exit code is 1 if the database refused a verdict. Raises InspectorError.
    """
    config = load_config(config_path)
    with needs_extra("`inspector records`"):
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.import_run import import_run
    database = Database(str(config.line.records.url))
    refused = 0
    for folder in folders:
        done = import_run(database, folder, config.identity)
        refused += done.refused
        if as_json:
            print(json.dumps({"run": str(folder), **done.as_dict()}, ensure_ascii=False))
            continue
        print(f"{folder}: {done.new} of {done.read} verdicts were missing in {database.shown} and are in it now")
        if done.deleted:
            print(f"  {done.deleted} not written: retention has deleted them, or records after them")
        if done.refused:
            print(f"  {done.refused} refused, the first: {done.first_refusal}")
        if done.unreadable:
            print(f"  {done.unreadable} lines of the log hold no verdict")
    return 1 if refused else 0
