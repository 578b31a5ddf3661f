"""The plant's own frames: read from a folder of images or a recording, evenly spread, and kept as PNGs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.errors import InputError, WorkError
from inspector.files import write_whole
from inspector.images import read_mono
from inspector.sources.folder.source import FolderSource
from inspector.sources.recording.source import RECORDING_NAME, RecordingSource
from inspector.sources.simulator.settings import MIN_FRAME_PX
from inspector.values import Capture, Pixels
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import new_folder

INDEX_NAME: Final = "frames.json"
LEAST_FRAMES: Final = 20
"""Fewest frames to commission with: below it, no share of false rejects can be told on the held-out ones."""


def keep_own_frames(source: Path, out: Path, most: int, *, show_progress: bool = False) -> list[str]:
    """Write at most `most` frames of `source` to the new folder `out`, in their order; returns their names.

    Does nothing if `out` is there. Raises InputError for a source without enough frames, or with one too small.
    """
    index = out / INDEX_NAME
    if index.is_file():
        return list(json.loads(index.read_text(encoding="utf-8")))
    if not source.is_dir():
        raise InputError(
            f"{source}: no such folder: name a folder of images, or a recording of `inspector record`"
        )
    count = sum(capture.pixels is not None for capture in _captures(source))
    if count < LEAST_FRAMES:
        raise InputError(f"{source}: {count} readable frames: commissioning needs {LEAST_FRAMES} or more")
    chosen = set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist())
    names: list[str] = []
    with new_folder(out) as building:
        readable = (capture for capture in _captures(source) if capture.pixels is not None)
        for number, capture in enumerate(bar(readable, "reading", total=count, show=show_progress)):
            pixels = capture.pixels
            if number not in chosen or pixels is None:
                continue
            if min(pixels.shape) < MIN_FRAME_PX:
                raise InputError(
                    f"{source}: frame {capture.file or number} is {pixels.shape[0]}×{pixels.shape[1]} px: defects "
                    f"are drawn on frames of {MIN_FRAME_PX} px each way or more"
                )
            stem = f"{number:06d}" if capture.file is None else Path(capture.file).stem
            names.append(f"{stem}.png" if f"{stem}.png" not in names else f"{stem}-{number}.png")
            write_png(building / names[-1], pixels)
        write_whole(building / INDEX_NAME, (json.dumps(names) + "\n").encode())
    return names


def _captures(source: Path) -> Iterator[Capture]:
    """Every capture; a lost or unreadable frame has no pixels."""
    if (source / RECORDING_NAME).is_file():
        with RecordingSource(source) as recording:
            yield from (capture for capture in recording.captures() if capture is not None)
        return
    with FolderSource(source) as folder:
        yield from (capture for capture in folder.captures() if capture is not None)


def read_all(folder: Path, names: list[str]) -> list[Pixels]:
    """The named frames, each uint8 [H, W]."""
    return [read_mono(folder / name).copy() for name in names]  # torch warns of read-only memory


def write_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 [H, W]; raises WorkError."""
    if not cv2.imwrite(str(path), pixels):
        raise WorkError(f"cannot write {path}: is the disk full?")


def copy_for_a_look(own: Path, names: list[str], out: Path) -> None:
    """Copy the frames that a person should look at to the folder `out`, in the order of the list."""
    if out.exists():
        return
    with new_folder(out) as building:
        for rank, name in enumerate(names, start=1):
            shutil.copyfile(own / name, building / f"{rank:03d}-{name}")
