"""Note an event on the line, such as a roll change."""

import argparse
from typing import Final

from inspector.commands.options import add_config
from inspector.commands.page import open_page, who
from inspector.config.strip import StripSettings
from inspector.errors import WorkError
from inspector.strip.orders import ROLL_CHANGE, change_rolls

EXAMPLE: Final = "example: inspector event 'roll change' --text 'stand 4'"

KINDS: Final = ("note", ROLL_CHANGE, "coil change", "cleaning", "maintenance")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--text", default="", help="what happened")
    parser.add_argument("--coil", help="coil that it concerns")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Note the event; returns the exit code. Raises InspectorError."""
    config, store = open_page(arguments)
    from inspector.serve.alarms import add_event

    print(f"event {add_event(store, arguments.kind, arguments.text, who(), arguments.coil)}")
    if arguments.kind == ROLL_CHANGE and config.line.strip is not None:
        _change_rolls(config.line.strip, arguments.text)
    return 0


def _change_rolls(strip: StripSettings, text: str) -> None:
    """Clear the roll-mark alarms of the rolls that the text means. Raises WorkError."""
    try:
        done = change_rolls(strip.folder, text)
    except WorkError as error:
        raise WorkError(f"the event is noted, but no roll mark is cleared: {error}") from None
    print(f"rolls changed: {'; '.join(done['rolls'])}")
    for alarm in done["cleared"]:
        print(f"cleared: {alarm}")
