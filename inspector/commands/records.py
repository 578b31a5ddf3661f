"""Copy verdicts that the database lacks from the logs of runs."""

import argparse
import json
from typing import Final

from inspector.commands.options import add_config, add_json, config_path, path
from inspector.config.line import load_config
from inspector.extras import needs_extra
from inspector.numbers import thousands

EXAMPLE: Final = "example: inspector records import runs/2026-11-29T06-00-00 --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action and its options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    summary = "write verdicts of the runs' logs into the database that lacks them"
    action = actions.add_parser("import", help=summary, description=f"{summary.capitalize()}.", epilog=EXAMPLE)
    action.add_argument("runs", type=path, nargs="+", metavar="RUN", help="folder of a run, or of a service")
    add_config(action)
    add_json(action)


def run(arguments: argparse.Namespace) -> int:
    """Import the verdicts that the runs logged and the config's database lacks; returns the exit code.

    The exit code is 1 if the database refused a verdict. Raises InspectorError.
    """
    config = load_config(config_path(arguments))
    with needs_extra("`inspector records`"):
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.import_run import import_run
    database = Database(str(config.line.records.url))
    refused = 0
    for folder in arguments.runs:
        done = import_run(database, folder, config.identity)
        refused += done.refused
        if arguments.json:
            print(json.dumps({"run": str(folder), **done.as_dict()}, ensure_ascii=False))
            continue
        print(
            f"{folder}: wrote {thousands(done.new)} of {thousands(done.read)} verdicts to {database.shown}, "
            "which lacked them"
        )
        if done.deleted:
            print(f"  {thousands(done.deleted)} not written: retention deleted them, or later records")
        if done.refused:
            print(f"  {thousands(done.refused)} refused, the first: {done.first_refusal}")
        if done.unreadable:
            print(f"  {thousands(done.unreadable)} lines of the log hold no verdict")
    return 1 if refused else 0
