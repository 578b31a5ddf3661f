"""Runs one process of the line: what the commands `ingest`, `worker` and `decide` share."""

import argparse
import signal
from pathlib import Path

import cv2
import structlog

from inspector.commands.options import add_config, config_path
from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InspectorError
from inspector.runtime.notify import Notifier
from inspector.runtime.stop import stop_with_parent
from inspector.supervisor.table import Process


def add_stage_arguments(parser: argparse.ArgumentParser, process: Process) -> None:
    """Declare the options of a process; `inspector run` gives the hidden ones to its children."""
    add_config(parser)
    if process.per_camera:
        parser.add_argument("--camera", help="camera of the config (default: its first)")
    parser.add_argument("--child-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--identity", help=argparse.SUPPRESS)


def run_stage(process: Process, arguments: argparse.Namespace, *, engine: Path | None = None) -> int:
    """Run the process until it is stopped; returns the exit code. Raises InspectorError.

    `engine` replaces the config's engine.
    """
    if arguments.child_of is not None:
        stop_with_parent(arguments.child_of)
    # One thread per process: OpenCV's thread pool would spin on the cores that the engine needs.
    cv2.setNumThreads(1)
    config = load_config(config_path(arguments))
    if engine is not None:
        config = config.with_engine(engine)
    if arguments.identity is not None:
        config = LoadedConfig(config.path, config.line, arguments.identity)
    try:
        if process.per_camera:
            process.main()(config, arguments.camera or next(iter(config.line.cameras)))
        else:
            process.main()(config)
    except InspectorError as error:
        structlog.get_logger().error("stopped", error=str(error))
        # Shown by `systemctl status` and `inspector swap`.
        Notifier().tell(STATUS=f"stopped: {error}")
        raise
    finally:
        # Everything is drained and closed. A second SIGTERM while GPU libraries unload must not fail the exit.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return 0
