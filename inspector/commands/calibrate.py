"""Learn the limits of sound pictures from a source of sound steel, and print them as a table for the recipe."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from inspector.commands.options import add_config, config_path, count, path
from inspector.config.line import load_config
from inspector.config.recipe import load_recipe
from inspector.core.picture import PictureCheck
from inspector.errors import InputError
from inspector.runtime.stop import StopRequest
from inspector.sources import open_source, source_settings

EXAMPLE: Final = "example: inspector calibrate recordings/coil-17 --config line.toml"

FEWEST_FRAMES: Final = 16
"""Smallest number of sound frames; fewer do not show how much sound pictures differ."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=path, nargs="+", metavar="SOURCE", help="folder of images, video, or recording"
    )
    add_config(parser)
    parser.add_argument("--frames", type=count, metavar="N", help="stop after N sound ones (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Learn from folders, videos or recordings of sound steel, all of it or its first `frames`.

    Returns the exit code. Raises InputError if fewer than FEWEST_FRAMES frames are sound.
    """
    sources: Sequence[Path] = arguments.source
    named = ", ".join(map(str, sources))
    rules = load_recipe(load_config(config_path(arguments)).line.recipe).recipe.picture
    check = PictureCheck(rules.given(), learn_frames=None)
    unreadable = unfit = 0
    with StopRequest() as stop, open_source(source_settings(sources)) as opened:
        for capture in opened.captures():
            if stop or check.seen == arguments.frames:
                break
            if capture is None:
                continue
            if capture.pixels is None:
                unreadable += 1
            elif check.check(capture.pixels) is not None:
                unfit += 1
    if check.seen < FEWEST_FRAMES:
        raise InputError(
            f"{named}: {check.seen} sound pictures, {unfit} unfit ones, {unreadable} unreadable: "
            f"limits need at least {FEWEST_FRAMES} sound ones"
        )
    limits = msgspec.structs.asdict(check.learned_limits())
    low, high = limits.pop("min_background_grey"), limits.pop("max_background_grey")
    names = ", ".join(source.name for source in sources)
    print(f"# Learned from {check.seen} pictures of {names}; {unfit} unfit, {unreadable} unreadable left out.")
    print("[picture]")
    if low <= high:
        print(f"background_grey = [{low:g}, {high:g}]")
    for name, value in limits.items():
        if value != float("inf"):
            print(f"{name} = {value:.4g}")
    return 0
