"""`inspector run`: the line of a config, live, until its sources end or Ctrl-C."""

import json
import time
from pathlib import Path

from inspector.commands.session import new_folder, print_summary, run_session
from inspector.config import load_config
from inspector.processes.control import control_path


def run(config_path: Path, out: Path | None, *, as_json: bool) -> int:
    """Run all cameras of the config; returns the exit code. Raises InspectorError."""
    config = load_config(config_path)
    started = time.strftime("%Y-%m-%dT%H-%M-%S")
    folder = out if out is not None else new_folder(config.line.sinks.out, started)
    finished = run_session(config, config.line, folder.resolve(), quiet=as_json, control=control_path(config))
    if as_json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print_summary(finished)
    return 0
