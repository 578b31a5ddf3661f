"""Run ingest: take frames from one camera, announce them, and hand them to the worker."""

import argparse
from typing import Final

from inspector.commands.stage import add_stage_arguments, run_stage
from inspector.supervisor.table import INGEST

EXAMPLE: Final = "example: inspector ingest --config line.toml --camera top"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stage_arguments(parser, INGEST)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; returns the exit code. Raises InspectorError."""
    return run_stage(INGEST, arguments)
