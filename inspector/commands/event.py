"""Note an event on the line, such as a roll change."""

import argparse
from typing import Final

from inspector.commands.options import add_config
from inspector.commands.page import open_page, who

EXAMPLE: Final = "example: inspector event 'roll change' --text 'stand 4'"

KINDS: Final = ("note", "roll change", "coil change", "cleaning", "maintenance")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--text", default="", help="what happened")
    parser.add_argument("--coil", help="coil that it concerns")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Note the event; returns the exit code. Raises InspectorError."""
    _, store = open_page(arguments)
    from inspector.serve.alarms import add_event

    print(f"event {add_event(store, arguments.kind, arguments.text, who(), arguments.coil)}")
    return 0
