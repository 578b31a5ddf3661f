"""Write the frames that people reviewed on the page as a data set, which the trainer reads."""

import argparse
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, path
from inspector.commands.page import open_page

EXAMPLE: Final = "example: inspector review export --out data/reviewed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("export",))
    parser.add_argument("--out", type=path, required=True, help="folder to write, which must be new or empty")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Write the data set; returns the exit code. Raises InspectorError."""
    out: Path = arguments.out
    _, store = open_page(arguments)
    from inspector.serve.review import export

    print(f"{export(store, out)} reviewed frames in {out}")
    return 0
