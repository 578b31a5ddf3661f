"""Inspect an archive again with another engine, and show what changes against the verdicts on record.

Units that are done are not inspected again: call it again to continue after an interruption."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from inspector.commands.options import add_config, add_json, config_path, count, path
from inspector.commands.session import Bar
from inspector.config.line import LoadedConfig, load_config
from inspector.engine.manifest import open_folder
from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.numbers import thousands

EXAMPLE: Final = (
    "example: inspector reinspect /srv/archive --engine engines/new --config line.toml --out new-engine.sqlite"
)

SHOWN_ROWS: Final = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("archive", type=path, metavar="ARCHIVE", help="archive, or a folder of recordings")
    parser.add_argument("--engine", type=path, required=True, metavar="DIR", help="the engine to try")
    add_config(parser, installed=True)
    parser.add_argument("--out", type=path, required=True, metavar="DB", help="SQLite file for the new verdicts")
    parser.add_argument("--work", type=path, metavar="DIR", help="finished units (default: DB.units)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="units at the same time (Ray)")
    parser.add_argument("--address", metavar="HOST:PORT", help="a running Ray cluster, in place of this PC")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Inspect all units and compare; returns the exit code, 1 if a unit failed. Raises InspectorError."""
    config = load_config(config_path(arguments))
    with needs_extra("`inspector reinspect`"):
        from inspector.reinspect.run import Reinspection
    out: Path = arguments.out.resolve()
    work = arguments.work.resolve() if arguments.work else out.with_name(f"{out.name}.units")
    if str(config.line.records.url) == f"sqlite:///{out}":
        raise InputError(f"--out {out}: is the line's own database: give another file")
    engine = open_folder(arguments.engine.resolve())
    work_of = Reinspection(config, engine.path, engine.identity, arguments.archive.resolve(), out, work)
    with Bar(quiet=arguments.json) as bar:
        told = work_of.run(arguments.workers, arguments.address, bar.show).as_dict()
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        _show(told, config)
    return 1 if told["failed"] else 0


def _show(told: dict[str, Any], config: LoadedConfig) -> None:
    units, changes = told["units"], told["changes"]
    print(
        f"{thousands(told['frames'])} frames in {thousands(units)} units, {thousands(told['inspected'])} of them "
        f"inspected now, in {told['out']}"
    )
    print(f"against the records of {config.line.name}:")
    if not told["compared"]:
        print("  nothing is compared: no frame with a capture time was inspected")
    elif not told["flips"] and not changes:
        print("  nothing changes")
    for flip, frames in told["flips"].items():
        print(f"  {thousands(frames):>9s} frames   {flip}")
    if changes:
        print(f"  {'coil':20s} {'kind':16s} {'severity':>8s} {'before':>8s} {'after':>8s}")
    for row in changes[:SHOWN_ROWS]:
        print(f"  {row['coil']:20s} {row['kind']:16s} {row['severity']:8d} {row['before']:8d} {row['after']:8d}")
    if len(changes) > SHOWN_ROWS:
        print(f"  and {len(changes) - SHOWN_ROWS} more: --json has all")
    for unit, why in told["damaged"].items():
        print(f"damaged  {unit}: {why}")
    for unit, why in list(told["by_default"].items())[:SHOWN_ROWS]:
        print(f"recipe   {unit}: judged by the line's recipe: {why}")
    if len(told["by_default"]) > SHOWN_ROWS:
        print(f"recipe   and {len(told['by_default']) - SHOWN_ROWS} more: --json has all")
    for unit, why in told["failed"].items():
        print(f"failed   {unit}: {why}")
