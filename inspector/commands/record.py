"""Save frames of a camera without loss, with their ids, times and positions."""

import argparse
import time
from pathlib import Path
from typing import Final

from inspector.commands.given_source import add_grey_window, given_source
from inspector.commands.options import add_config, config_path, count, path
from inspector.commands.session import Bar
from inspector.config.line import load_config
from inspector.config.recipe import load_recipe
from inspector.config.sources import SourceSettings
from inspector.errors import ConfigError, InputError
from inspector.numbers import thousands
from inspector.runtime.stop import StopRequest
from inspector.sources import at_scale, open_source
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture

EXAMPLE: Final = "example: inspector record --config line.toml --camera top --frames 2000 --out recordings/coil-17"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=path, nargs="?", metavar="SOURCE", help="folder or video instead of the camera"
    )
    add_grey_window(parser)
    add_config(parser)
    parser.add_argument("--camera", help="camera of the config (default: its first)")
    parser.add_argument("--out", type=path, required=True, help="folder of the recording, which must not exist")
    parser.add_argument("--frames", type=count, metavar="N", help="stop after N frames")


def run(arguments: argparse.Namespace) -> int:
    """Record the config's camera, or `source`, until it ends, `frames` are saved, or Ctrl-C.

    Returns the exit code. Raises InspectorError.
    """
    source: Path | None = arguments.source
    out: Path = arguments.out
    frames: int | None = arguments.frames
    config = load_config(config_path(arguments))
    recipe = load_recipe(config.line.recipe).recipe
    cameras = config.line.cameras
    name: str = arguments.camera or next(iter(cameras))
    if name not in cameras:
        raise ConfigError(f"{config.path}: cameras: no camera {name}; the config has {', '.join(cameras)}")
    settings: SourceSettings = cameras[name]
    if source is not None:
        settings = given_source([source], config.line, name, arguments.grey_window)
    elif arguments.grey_window is not None:
        raise InputError("--grey-window is for a SOURCE: a camera has grey_window in the config")
    settings = at_scale(settings, recipe.mm_per_px_along)
    recorded = faults = 0
    next_mm, height = 0.0, 0
    with (
        StopRequest() as stop,
        open_source(settings) as opened,
        RecordingWriter(out, camera=name, mm_per_px=recipe.mm_per_px_along) as writer,
        Bar(quiet=False) as bar,
    ):
        for capture in opened.captures():
            if stop or recorded == frames:
                break
            if capture is None:
                continue
            height = capture.pixels.shape[0] if capture.pixels is not None else height
            position_mm = next_mm if capture.position_mm is None else capture.position_mm
            next_mm = position_mm + height * recipe.mm_per_px_along
            writer.append(
                Capture(
                    capture.pixels,
                    capture.fault,
                    captured_ns=time.time_ns() if capture.captured_ns is None else capture.captured_ns,
                    position_mm=position_mm,
                    coil=capture.coil if capture.coil is not None else config.line.coil,
                )
            )
            recorded += 1
            faults += capture.fault is not None
            bar.show(recorded, frames or opened.total())
    if not recorded:
        raise InputError(f"{name}: the source gave no frame: nothing was recorded")
    print(f"recorded {thousands(recorded)} frames of camera {name}, {thousands(faults)} of them faults, in {out}")
    return 0
