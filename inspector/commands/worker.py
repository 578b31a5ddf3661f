"""Run the worker: pass frames through the engine in batches."""

import argparse
from typing import Final

from inspector.commands.options import add_engine
from inspector.commands.stage import add_stage_arguments, run_stage
from inspector.supervisor.table import WORKER

EXAMPLE: Final = "example: inspector worker --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stage_arguments(parser, WORKER)
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; returns the exit code. Raises InspectorError."""
    return run_stage(WORKER, arguments, engine=arguments.engine)
