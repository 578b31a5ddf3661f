"""List the GenICam cameras on the network and on USB, and the V4L2 devices of this PC."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from inspector.commands.options import add_json
from inspector.errors import SourceError
from inspector.sources.genicam.search import Found, found_cameras

EXAMPLE: Final = "example: inspector cameras --json"

V4L2_NAMES: Final = Path("/sys/class/video4linux")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per camera, which begins with the `device` of its config. Returns 0."""
    found = v4l2_devices(V4L2_NAMES)
    missing = None
    try:
        found = [*found_cameras(), *found]
    except SourceError as error:
        missing = str(error)
    if arguments.json:
        print(json.dumps({"cameras": [each._asdict() for each in found], "not_searched": missing}))
        return 0
    widths = [max((len(each[column]) for each in found), default=0) for column in range(len(Found._fields))]
    for each in found:
        print("  ".join(text.ljust(width) for text, width in zip(each, widths, strict=True)).rstrip())
    if not found:
        print("no camera found")
    if missing is not None:
        print(missing, file=sys.stderr)
    return 0


def v4l2_devices(names: Path) -> list[Found]:
    """The V4L2 devices, in the order of their numbers."""
    if not names.is_dir():
        return []
    numbers = sorted(int(path.name.removeprefix("video")) for path in names.glob("video[0-9]*"))
    return [
        Found(f"/dev/video{number}", "camera", "V4L2", (names / f"video{number}" / "name").read_text().strip())
        for number in numbers
    ]
