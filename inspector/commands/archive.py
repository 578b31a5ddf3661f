"""Run the archive process: all frames of the line, without loss, by coil."""

import argparse
from typing import Final

from inspector.commands.stage import add_stage_arguments, run_stage
from inspector.supervisor.table import ARCHIVE

EXAMPLE: Final = "example: inspector archive --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stage_arguments(parser, ARCHIVE)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; returns the exit code. Raises InspectorError."""
    return run_stage(ARCHIVE, arguments)
