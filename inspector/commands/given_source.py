"""The source that a command line names, read as the config's camera is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inspector.config.line import LineConfig
from inspector.config.sources import FileSettings, ListSettings, SourceSettings
from inspector.errors import InputError
from inspector.images import GreyWindow
from inspector.sources import source_settings, with_grey_window

WHITE_16_BIT: Final = 65_535


def add_grey_window(parser: argparse.ArgumentParser) -> None:
    """Declare --grey-window."""
    parser.add_argument(
        "--grey-window",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="samples of SOURCE's 10- to 16-bit grey that are black and white (default: the camera's)",
    )


def given_source(
    paths: Sequence[Path], line: LineConfig, camera: str | None, window: Sequence[int] | None
) -> FileSettings | ListSettings:
    """Return the settings of a source from the command line.

    Its grey window is `window`, from --grey-window, or that of `camera`. Without a camera's name it is that of all
    cameras, if they have the same. Raises InputError for a window that is none, SourceError for a path that is no
    source.
    """
    settings = source_settings(paths)
    if window is not None:
        low, high = window
        if not 0 <= low < high <= WHITE_16_BIT:
            raise InputError(f"--grey-window {low} {high}: needs 0 ≤ LOW < HIGH ≤ {WHITE_16_BIT}")
        return with_grey_window(settings, (low, high))
    cameras = [line.cameras[camera]] if camera is not None else list(line.cameras.values())
    windows = {each for settings in cameras for each in _windows(settings)}
    return with_grey_window(settings, windows.pop() if len(windows) == 1 else None)


def _windows(settings: SourceSettings) -> set[GreyWindow | None]:
    if isinstance(settings, ListSettings):
        return {window for each in settings.sources for window in _windows(each)}
    return {getattr(settings, "grey_window", None)}
