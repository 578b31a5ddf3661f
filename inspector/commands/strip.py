"""Run the strip process: the strip's position, its coils, and Level 2."""

import argparse
from typing import Final

from inspector.commands.stage import add_stage_arguments, run_stage
from inspector.supervisor.table import STRIP

EXAMPLE: Final = "example: inspector strip --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stage_arguments(parser, STRIP)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; returns the exit code. Raises InspectorError."""
    return run_stage(STRIP, arguments)
