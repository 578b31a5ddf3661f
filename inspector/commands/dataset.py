"""Write kept frames as a data set, which the trainer reads.

Reviewed frames come with the masks that people accepted, corrected or drew. With --waiting, frames that nobody has
reviewed come with the line's own masks, to correct them in another tool."""

import argparse
import json
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, add_json, add_times, path
from inspector.commands.page import open_page
from inspector.render.numbers import frames

EXAMPLE: Final = "example: inspector dataset export --out data/week-2 --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("export",))
    parser.add_argument("--out", type=path, required=True, help="folder to write, which must be new or empty")
    parser.add_argument(
        "--waiting", action="store_true", help="frames that nobody has reviewed, with the line's masks"
    )
    parser.add_argument("--coil", help="only frames of this coil")
    add_times(parser)
    add_json(parser)
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Write the data set; returns the exit code. Raises InspectorError."""
    out: Path = arguments.out
    _, store = open_page(arguments)
    from inspector.serve.corrections import Choice, export_corrections

    choice = Choice(arguments.waiting, arguments.coil, arguments.from_ns, arguments.to_ns)
    about = export_corrections(store, out, choice)
    if arguments.json:
        print(json.dumps({"out": str(out)} | {key: about[key] for key in about if key != "images"}))
        return 0
    answers = ", ".join(f"{count} {answer}" for answer, count in about["answers"].items())
    print(f"{frames(about['frames'])} in {out} ({answers})\nnext: trainer check-data {out}")
    return 0
