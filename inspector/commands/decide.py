"""Run decide: give every announced frame one verdict, and write it to gate, log and records."""

import argparse
from typing import Final

from inspector.commands.stage import add_stage_arguments, run_stage
from inspector.supervisor.table import DECIDE

EXAMPLE: Final = "example: inspector decide --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stage_arguments(parser, DECIDE)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; returns the exit code. Raises InspectorError."""
    return run_stage(DECIDE, arguments)
