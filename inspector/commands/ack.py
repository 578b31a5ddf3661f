"""List the alarms of a line, or acknowledge some."""

import argparse
from typing import Final

from inspector.commands.options import add_config, count
from inspector.commands.page import open_page, who

EXAMPLE: Final = "example: inspector ack 12 --note 'lamp replaced'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "alarm", nargs="*", type=count, metavar="ALARM", help="number of an alarm (default: list them)"
    )
    parser.add_argument("--note", default="", help="why")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Acknowledge the alarms, or list them; returns the exit code. Raises InspectorError."""
    _, store = open_page(arguments)
    from inspector.serve.alarms import acknowledge, count_shown, shown_alarms

    for alarm in arguments.alarm:
        acknowledge(store, alarm, who(), arguments.note)
        print(f"acknowledged {alarm}")
    for each in [] if arguments.alarm else shown_alarms(store, count_shown(store)):
        state = "stands" if each["ended_ms"] is None else "ended"
        often = f", {each['times']} times" if each["times"] > 1 else ""
        by = f", acknowledged by {each['acknowledged_by']}" if each["acknowledged_by"] else ""
        print(f"{each['id']:5d} {state}{often}{by}: {each['text']}")
    return 0
