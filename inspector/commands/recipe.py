"""Write a first recipe with a rule for each class of an engine."""

import argparse
from pathlib import Path
from typing import Final

from inspector.commands.options import path
from inspector.engine.manifest import Manifest, read_manifest
from inspector.errors import InputError
from inspector.files import write_new

EXAMPLE: Final = "example: inspector recipe engines/strip-fast --out recipe.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("engine", type=path, metavar="ENGINE", help="engine folder")
    parser.add_argument("--out", type=path, help="file to write, which must not exist (default: print it)")


def run(arguments: argparse.Namespace) -> int:
    """Write or print the recipe; returns the exit code. Raises InputError."""
    return recipe(arguments.engine, arguments.out)


def recipe(engine: Path, out: Path | None) -> int:
    """Print a recipe, or write it to a new file; returns the exit code. Raises InputError."""
    text = starting_recipe(read_manifest(engine))
    if out is None:
        print(text, end="")
        return 0
    try:
        write_new(out, text.encode(), 0o666)
    except OSError as error:
        raise InputError(f"{out}: cannot be made: {error.strerror}") from None
    print(f"{out}: set both mm_per_px, and check the rule of each class")
    return 0


def starting_recipe(manifest: Manifest) -> str:
    """Return a complete recipe.toml; its comments show the engine's own values, which apply until changed."""
    lines = [
        f"# What counts as a defect on one product, by the engine {manifest.name}.",
        f'name = "{manifest.name}"',
        "mm_per_px_across = 1.0    # measure both on your line: areas and places on the strip follow from them",
        "mm_per_px_along = 1.0",
    ]
    if manifest.frame_threshold is not None:
        lines += [
            "# Defects reject only frames whose score as a whole reaches this. Without the line, every frame.",
            f"# frame_score = {manifest.frame_threshold:.3g}",
        ]
    for name in manifest.classes[1:]:
        lines += [
            "",
            f"[classes.{_key(name)}]",
            'action = "reject"         # or "record": report it and let the steel pass',
            "# Lower: fewer missed defects (escape), more false rejects (overkill).",
            f"# threshold = {manifest.thresholds[name]:.3g}",
            f"# min_area_mm2 = {manifest.min_area_px.get(name, 0)}       # smaller defects do not count",
        ]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
