"""Let a candidate engine see the frames of a running line. It decides nothing.

It looks at the newest frames of the live view while the PC has nothing else to do, and compares itself with the
line, by kind and severity. Frames on which the two differ go to the page's review queue."""

import argparse
import json
from typing import Any, Final

from inspector.commands.options import add_config, add_json, count, path
from inspector.commands.page import open_page

EXAMPLE: Final = "example: inspector shadow engines/second --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("engine", type=path, metavar="ENGINE", help="engine folder of the candidate")
    parser.add_argument("--frames", type=count, metavar="N", help="stop after N compared frames (default: Ctrl-C)")
    add_json(parser)
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM or --frames; returns the exit code. Raises InspectorError."""
    config, store = open_page(arguments)
    from inspector.shadow.process import shadow

    figures = shadow(config, store, arguments.engine, frames=arguments.frames)
    print(json.dumps(figures) if arguments.json else _told(figures))
    return 0


def _told(figures: dict[str, Any]) -> str:
    compared, agreed = figures["frames"], figures["agreed"]
    seen = f"{compared} frames compared, {figures['shed']} shed, {figures['kept_for_review']} kept for review"
    only = f"only the candidate rejects {figures['only_candidate_rejects']}, only the line "
    lines = [f"{figures['candidate']} beside {figures['line'] or 'the line'}: {seen}"]
    lines += [f"same decision on {agreed}; {only}{figures['only_line_rejects']}"]
    lines += [
        f"  {each['what']:<16}{each['kind']:<20}severity {each['severity']}{each['count']:>8}"
        for each in figures["differences"]
    ]
    return "\n".join(lines)
