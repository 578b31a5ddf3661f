"""Learn the limits of sound pictures, or measure a camera's brightness by column and its lens's distortion."""

import argparse
import re
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from inspector.commands.given_source import add_grey_window, given_source
from inspector.commands.options import add_config, config_path, count, path
from inspector.config.camera_calibration import FORMAT, Calibration, load_calibration, store_calibration
from inspector.config.line import LineConfig, load_config
from inspector.config.recipe import load_recipe
from inspector.core.picture import PictureCheck
from inspector.core.strip.lens import Corners, find_corners, fit_lens
from inspector.core.strip.optics import Lens, gain_of
from inspector.errors import InputError, WorkError
from inspector.runtime.stop import StopRequest
from inspector.sources import open_source
from inspector.values import Pixels

EXAMPLE: Final = "example: inspector calibrate recordings/coil-17 --config line.toml"

FEWEST_FRAMES: Final = 16
"""Smallest number of sound frames; fewer do not show how much sound pictures differ."""


def board(text: str) -> tuple[int, int]:
    """Convert COLUMNSxROWS, the inner corners of a chessboard."""
    found = re.fullmatch(r"(\d{1,3})[x×](\d{1,3})", text)
    if found is None or min(map(int, found.groups())) < 3:  # OpenCV finds no smaller board
        raise argparse.ArgumentTypeError("give the inner corners of the board, at least 3 each way, such as 9x6")
    return int(found[1]), int(found[2])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=path, nargs="+", metavar="SOURCE", help="folder of images, video, or recording"
    )
    add_grey_window(parser)
    add_config(parser)
    parser.add_argument("--frames", type=count, metavar="N", help="stop after N sound ones (default: all)")
    parser.add_argument("--camera", metavar="NAME", help="measure this camera, instead of learning limits")
    parser.add_argument("--flat-field", action="store_true", help="its brightness by column, on plain strip")
    parser.add_argument("--board", type=board, metavar="COLUMNSxROWS", help="its lens, on a chessboard")
    parser.add_argument(
        "--out", type=path, metavar="FILE", help="default: calibration-NAME.json beside the recipe"
    )


def run(arguments: argparse.Namespace) -> int:
    """Learn from folders, videos or recordings, all of it or its first `frames`.

    Returns the exit code. Raises InputError if too few frames are fit.
    """
    line = load_config(config_path(arguments)).line
    measures = arguments.flat_field + (arguments.board is not None)
    if arguments.camera is None:
        if measures or arguments.out is not None:
            raise InputError("which camera? --flat-field, --board and --out need --camera NAME")
        return _learn_limits(arguments, line)
    if arguments.camera not in line.cameras:
        raise InputError(f"no camera {arguments.camera}; there is {', '.join(line.cameras)}")
    if measures != 1:
        raise InputError("what of the camera? give --flat-field or --board COLUMNSxROWS, one at a time")
    return _measure_camera(arguments, line)


def _named(arguments: argparse.Namespace) -> str:
    return ", ".join(map(str, arguments.source))


def _pictures(arguments: argparse.Namespace, line: LineConfig) -> Generator[Pixels | None, None, None]:
    """Every picture, None for one that cannot be read, until a stop."""
    settings = given_source(arguments.source, line, arguments.camera, arguments.grey_window)
    with StopRequest() as stop, open_source(settings) as opened:
        for capture in opened.captures():
            if stop:
                return
            if capture is not None:
                yield capture.pixels


def _learn_limits(arguments: argparse.Namespace, line: LineConfig) -> int:
    check = PictureCheck(load_recipe(line.recipe).recipe.picture.given(), learn_frames=None)
    unreadable = unfit = 0
    with closing(_pictures(arguments, line)) as pictures:
        for pixels in pictures:
            if check.seen == arguments.frames:
                break
            if pixels is None:
                unreadable += 1
            elif check.check(pixels) is not None:
                unfit += 1
    if check.seen < FEWEST_FRAMES:
        raise InputError(
            f"{_named(arguments)}: {check.seen} sound pictures, {unfit} unfit ones, {unreadable} unreadable: "
            f"limits need at least {FEWEST_FRAMES} sound ones"
        )
    limits = msgspec.structs.asdict(check.learned_limits())
    low, high = limits.pop("min_background_grey"), limits.pop("max_background_grey")
    names = ", ".join(source.name for source in arguments.source)
    print(f"# Learned from {check.seen} pictures of {names}; {unfit} unfit, {unreadable} unreadable left out.")
    print("[picture]")
    if low <= high:
        print(f"background_grey = [{low:g}, {high:g}]")
    for name, value in limits.items():
        if value != float("inf"):
            print(f"{name} = {value:.4g}")
    return 0


def _measure_camera(arguments: argparse.Namespace, line: LineConfig) -> int:
    camera: str = arguments.camera
    file: Path = arguments.out or line.recipe.parent / f"calibration-{camera}.json"
    before = load_calibration(file, camera) if file.exists() else None
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    if arguments.flat_field:
        size, gain, told = _flat_field(arguments, line)
        made: dict[str, Any] = {"gain": tuple(round(float(each), 5) for each in gain)}
    else:
        size, lens, told = _lens(arguments, line)
        made = {"lens": lens}
    if before is not None and (before.height, before.width) != size:
        raise InputError(
            f"{file}: is of pictures of {before.height}×{before.width} px, not {size[0]}×{size[1]}: remove it"
        )
    start = before or Calibration(FORMAT, camera, *size)
    text = f"{'gain' if arguments.flat_field else 'lens'}: {_named(arguments)}, {today}"
    others = tuple(each for each in start.made_from if each[:5] != text[:5])
    try:
        store_calibration(file, msgspec.structs.replace(start, **made, made_from=(*others, text)))
    except OSError as error:
        raise WorkError(f"{file}: cannot be written: {error.strerror}") from None
    print(f"{file}: {told}")
    used = line.strip is not None and line.strip.camera(camera).calibration == file
    if not used:
        print(f'to use it, add to line.toml: [strip.cameras.{camera}] calibration = "{file}"')
    return 0


def _flat_field(arguments: argparse.Namespace, line: LineConfig) -> tuple[tuple[int, int], np.ndarray, str]:
    """(size, gain by column, what was found)."""
    size: tuple[int, int] | None = None
    greys: list[np.ndarray] = []
    with closing(_pictures(arguments, line)) as pictures:
        for pixels in pictures:
            if len(greys) == arguments.frames:
                break
            if pixels is not None:
                size = _same_size(size, pixels, arguments)
                greys.append(pixels.mean(axis=0))
    if size is None or len(greys) < FEWEST_FRAMES:
        raise InputError(f"{_named(arguments)}: {len(greys)} pictures of plain strip: at least {FEWEST_FRAMES}")
    try:
        gain = gain_of(np.stack(greys))
    except ValueError as error:
        raise InputError(f"{_named(arguments)}: {error}") from None
    return (
        size,
        gain,
        f"gain of {len(gain)} columns from {len(greys)} pictures, {gain.min():.2f} to {gain.max():.2f}",
    )


def _lens(arguments: argparse.Namespace, line: LineConfig) -> tuple[tuple[int, int], Lens, str]:
    """(size, lens, what was found)."""
    size: tuple[int, int] | None = None
    views: list[Corners] = []
    seen = 0
    with closing(_pictures(arguments, line)) as pictures:
        for pixels in pictures:
            if len(views) == arguments.frames:
                break
            if pixels is not None:
                seen += 1
                size = _same_size(size, pixels, arguments)
                corners = find_corners(pixels, arguments.board)
                views += [] if corners is None else [corners]
    if size is None:
        raise InputError(f"{_named(arguments)}: no picture")
    try:
        lens, error_px = fit_lens(views, arguments.board, size)
    except ValueError as error:
        raise InputError(f"{_named(arguments)}: {seen} pictures: {error}") from None
    return size, lens, f"lens from {len(views)} of {seen} pictures, corners {error_px:.2f} px off on average"


def _same_size(size: tuple[int, int] | None, pixels: Pixels, arguments: argparse.Namespace) -> tuple[int, int]:
    height, width = pixels.shape
    if size not in (None, (height, width)):
        raise InputError(f"{_named(arguments)}: pictures of several sizes: a camera has one")
    return height, width
