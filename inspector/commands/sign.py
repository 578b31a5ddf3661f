"""Sign an engine folder, for lines that accept only engines signed with a trusted key."""

import argparse
from typing import Final

from inspector.commands.options import path
from inspector.engine import signature

EXAMPLE: Final = "example: inspector sign engines/strip-fast --key signing.key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("engine", type=path, metavar="ENGINE", help="engine folder")
    parser.add_argument("--key", type=path, required=True, help="file made by `inspector keys signing`")


def run(arguments: argparse.Namespace) -> int:
    """Sign the folder; returns the exit code. Raises InputError."""
    public = signature.sign(arguments.engine, arguments.key)
    print(f'{arguments.engine}: signed; to accept only such engines, set in line.toml trusted_keys = ["{public}"]')
    return 0
