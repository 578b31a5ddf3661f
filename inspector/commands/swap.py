"""Change the engine of a running line without losing a frame."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from inspector.commands.options import add_config, add_json, config_path, path
from inspector.config.line import LoadedConfig, load_config
from inspector.engine.manifest import EngineFolder, check_successor, read_manifest
from inspector.engine.signature import open_trusted
from inspector.errors import InputError, WorkError
from inspector.runtime.orders import give_order
from inspector.supervisor.control import control_path

EXAMPLE: Final = "example: inspector swap engines/strip-2 --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("engine", type=path, metavar="ENGINE", help="engine folder for frames of the same size")
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Switch the line of `inspector run` to another engine; returns the exit code.

    Raises InputError if the engine does not fit or no line runs, WorkError if the new worker fails; the line then
    continues with the old one.
    """
    engine: Path = arguments.engine
    config = load_config(config_path(arguments))
    line = config.line
    folder = open_trusted(engine.resolve(), line.trusted_keys)

    def note(text: str) -> None:
        if not arguments.json:
            print(text, file=sys.stderr, flush=True)

    done = swap_engine(config, folder, note)
    if arguments.json:
        print(json.dumps({"engine": folder.identity, **done}))
    else:
        print(f"the line uses {folder.identity}; the old worker finished in {done['drained_s']:.1f} s")
        for how in done["old_worker"]:
            print(f"  {how}: its frames end UNINSPECTED at their deadline")
        if folder.path != line.engine.resolve():
            print(f'  {config.path} still names {line.engine}: set `engine = "{folder.path}"` to start with it')
    return 0


def swap_engine(config: LoadedConfig, folder: EngineFolder, note: Callable[[str], None]) -> dict[str, Any]:
    """Switch the running line to another engine; `note` gets its progress. Returns how long it took.

    Raises InputError if the engine does not fit or no line runs, WorkError if the new worker fails.
    """
    check_successor(folder.manifest, read_manifest(config.line.engine))
    try:
        return give_order(control_path(config), {"engine": str(folder.path)}, note)
    except FileNotFoundError:
        raise InputError(
            f"{config.path}: no `inspector run` of this config is running; for a service use systemd: "
            f"`systemctl start inspector-worker@NEW`, then `systemctl stop inspector-worker@OLD`"
        ) from None
    except WorkError as error:
        raise WorkError(f"{folder.path}: not swapped, the line keeps its engine: {error}") from None
