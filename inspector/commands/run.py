"""Run the line of a config live, until its sources end or Ctrl-C."""

import argparse
import json
import time
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, add_json, config_path, path
from inspector.commands.session import new_folder, print_summary, run_session
from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InputError
from inspector.supervisor.control import control_path, listener

EXAMPLE: Final = "example: inspector run --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument("--out", type=path, help="folder of this run (default: a new one in sinks.out)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run all cameras of the config; returns the exit code. Raises InspectorError."""
    config = load_config(config_path(arguments))
    control = control_path(config)
    _refuse_second(config, control)
    started = time.strftime("%Y-%m-%dT%H-%M-%S")
    out: Path | None = arguments.out
    folder = out if out is not None else new_folder(config.line.sinks.out, started)
    finished = run_session(config, config.line, folder.resolve(), quiet=arguments.json, control=control)
    if arguments.json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print_summary(finished)
    return 0


def _refuse_second(config: LoadedConfig, control: Path) -> None:
    """Raise InputError if this line already runs: two runs would compete for its gate and its health port."""
    if config.line.gate is None and config.line.health is None:
        return
    pid = listener(control)
    if pid is not None:
        raise InputError(
            f"{config.path}: this line already runs (pid {pid}): stop it first (Ctrl-C, or kill {pid})"
        )
