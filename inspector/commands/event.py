"""Note an event on the line, such as a roll change."""

import argparse
from typing import TYPE_CHECKING, Final

from inspector.commands.options import add_config
from inspector.commands.page import open_page, who
from inspector.config.line import LineConfig
from inspector.config.strip import StripSettings
from inspector.errors import WorkError
from inspector.monitoring.client import ask
from inspector.strip.orders import ROLL_CHANGE, change_rolls

if TYPE_CHECKING:
    from inspector.serve.events import Place

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
    from inspector.serve.events import add_placed_event

    now = _place(config.line)
    print(f"event {add_placed_event(store, arguments.kind, arguments.text, who(), now, arguments.coil)}")
    if arguments.kind == ROLL_CHANGE and config.line.strip is not None:
        _change_rolls(config.line.strip, arguments.text)
    return 0


def _place(line: LineConfig) -> "Place | None":
    """Return where the strip is; None without a strip's encoder or a running line. Then the page adds it."""
    from inspector.serve.events import Place

    if line.strip is None or line.health is None:
        return None
    try:
        state = ask(line.health.port)[1].line
    except WorkError:
        return None
    return None if state is None or state.strip is None else Place(state.strip.coil, state.strip.position_mm)


def _change_rolls(strip: StripSettings, text: str) -> None:
    """Clear the roll-mark alarms of the rolls that the text means. Raises WorkError."""
    try:
        done = change_rolls(strip.folder, text)
    except WorkError as error:
        raise WorkError(f"the event is noted, but no roll mark is cleared: {error}") from None
    print(f"rolls changed: {'; '.join(done['rolls'])}")
    for alarm in done["cleared"]:
        print(f"cleared: {alarm}")
