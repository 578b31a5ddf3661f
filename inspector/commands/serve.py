"""Serve the operator's page: see a line, trust it, correct it. It reads the line and never holds it up."""

import argparse
from typing import Final

from inspector.commands.options import add_config
from inspector.commands.page import open_page
from inspector.extras import needs_extra

EXAMPLE: Final = "example: inspector serve --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped; returns the exit code. Raises InspectorError."""
    config, store = open_page(arguments)
    with needs_extra("`inspector serve`"):
        from inspector.serve.server import serve
    serve(config, store)
    return 0
