"""Make the keys of a line or a viewer, or a key to sign engines."""

import argparse
from pathlib import Path
from typing import Final

from inspector.commands.options import path
from inspector.engine import signature
from inspector.errors import InputError

EXAMPLE: Final = "example: inspector keys line --out /etc/inspector/keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "kind", choices=["line", "viewer", "signing"], metavar="KIND", help="line, viewer, signing"
    )
    parser.add_argument("--out", type=path, required=True, help="the line's key folder; for signing, a file")
    parser.add_argument("--name", help="of the viewer")


def run(arguments: argparse.Namespace) -> int:
    """Make the keys of a kind; returns the exit code. Raises InputError."""
    from inspector.wire import curve

    kind: str = arguments.kind
    out: Path = arguments.out
    name: str | None = arguments.name
    if name is not None and kind != "viewer":
        raise InputError(f"--name names a viewer: `inspector keys {kind}` takes none")
    if kind == "line":
        curve.make_line_keys(out)
        print(
            f'{out}: give it to the service (`chown -R inspector-decide: {out}`), then set `view.keys = "{out}"`'
        )
    elif kind == "viewer":
        if name is None:
            raise InputError("a viewer needs a --name")
        secret = curve.make_viewer_keys(out, name)
        print(f"{secret}: copy it to the viewer's PC, with {out / curve.LINE_NAME}.key, and delete it here")
    else:
        public = signature.make_key(out)
        print(
            f'{out}: keep it where engines are made, never on a line; in line.toml set trusted_keys = ["{public}"]'
        )
    return 0
