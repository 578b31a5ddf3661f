"""Serve results, health and plans over OPC UA, after Machine Vision (OPC 40100-1). It never holds the line up."""

import argparse
from typing import Final

from inspector.commands.options import add_config, config_path
from inspector.config.line import load_config
from inspector.extras import needs_extra

EXAMPLE: Final = "example: inspector opcua --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped; returns the exit code. Raises InspectorError."""
    config = load_config(config_path(arguments))
    with needs_extra("`inspector opcua`"):
        from inspector.opcua.process import main
    main(config)
    return 0
