"""Serve the operator's page: live view, coils, health, review. It reads from the line and never delays it."""

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
