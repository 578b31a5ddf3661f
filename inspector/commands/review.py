"""Write the page's reviews to a file: which frame, the answer, who, when and why; one JSON object a line.

`inspector dataset export` writes the frames and masks themselves, for training."""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from inspector.commands.options import add_config, path
from inspector.commands.page import open_page
from inspector.errors import WorkError
from inspector.files import write_whole

EXAMPLE: Final = "example: inspector review export --out reviews.jsonl --config line.toml"

MOST_REVIEWS: Final = 2**31
"""More than a store ever holds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("export",))
    parser.add_argument("--out", type=path, required=True, help="file to write")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Write the reviews, oldest first; returns the exit code. Raises InspectorError."""
    _, store = open_page(arguments)
    from inspector.serve.review import reviewed

    out: Path = arguments.out
    found = reviewed(store, MOST_REVIEWS)
    content = b"".join(msgspec.json.encode(each) + b"\n" for each in reversed(found))
    try:
        write_whole(out, content)
    except OSError as error:
        raise WorkError(f"{out}: {error.strerror}: give another --out") from None
    print(f"{len(found)} {'review' if len(found) == 1 else 'reviews'} in {out}")
    return 0
