"""Add frames of a recording, a video or a folder to the page's review queue, such as defects that the line missed.

They wait there without a marked defect: draw it on the page. --marked takes the frames that `inspector mark`
named, by their capture times."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from inspector.commands.given_source import add_grey_window, given_source
from inspector.commands.options import add_config, path
from inspector.commands.page import open_page, who
from inspector.config.line import LineConfig
from inspector.config.sources import SourceSettings
from inspector.engine.manifest import read_manifest
from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.render.numbers import frames
from inspector.sources import open_source
from inspector.sources.recording.source import RecordingSource
from inspector.values import REPLAY_EPOCH, Capture, Decision, Verdict

EXAMPLE: Final = "example: inspector collect recordings/coil-17 --frames 120-140,166 --config line.toml"

MOST_FRAMES: Final = 500
"""Most frames of one command: as many as wait on the page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=path, metavar="SOURCE", help="recording, video or folder of images")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--frames", type=numbers, metavar="N,N-N", help="numbers of frames, from 0")
    which.add_argument("--marked", action="store_true", help="frames that `inspector mark` has marked")
    parser.add_argument("--note", default="", help="why")
    add_grey_window(parser)
    add_config(parser, installed=True)


def numbers(text: str) -> frozenset[int]:
    """Convert `3,10-12` to frame numbers."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r}: write numbers as 3,10-12")
        span = range(int(first), int(last if dash else first) + 1)
        if not span or len(found) + len(span) > MOST_FRAMES:
            raise argparse.ArgumentTypeError(f"{text!r}: must be 1 to {MOST_FRAMES} frames")
        found.update(span)
    return frozenset(found)


def run(arguments: argparse.Namespace) -> int:
    """Add the frames; returns the exit code. Raises InspectorError."""
    config, store = open_page(arguments)
    from inspector.serve.samples import ESCAPE, keep
    from inspector.wire.view import ViewMessage

    line, source = config.line, arguments.source
    wanted: frozenset[int] | None = arguments.frames
    marked = _marked_ns(line) if arguments.marked else frozenset()
    classes = read_manifest(line.engine).classes
    camera = RecordingSource(source).camera if (source / "recording.json").is_file() else next(iter(line.cameras))
    if camera not in line.cameras:
        raise InputError(f"{source}: was recorded by camera {camera}; the line has {', '.join(line.cameras)}")
    note = f"added by {who()}" + (f": {arguments.note}" if arguments.note else "")
    kept = known = 0
    missing, unreadable = set(wanted or ()), ""
    for number, capture in _captures(given_source([source], line, None, arguments.grey_window)):
        if not (number in wanted if wanted is not None else capture.captured_ns in marked):
            continue
        missing.discard(number)
        if capture.pixels is None:
            why = capture.fault.text if capture.fault is not None else "no pixels"
            unreadable = unreadable or f"{source}: frame {number} has no pixels: {why}: it was not added"
            continue
        verdict = _verdict(camera, number, capture, _captured_ns(source, number, capture))
        seen = ViewMessage(verdict, capture.pixels, np.zeros_like(capture.pixels))
        sample = keep(store, ESCAPE, seen, classes, note=note)
        kept += sample is not None
        known += sample is None
    if not kept + known and not unreadable:
        asked = "marked frames" if arguments.marked else "such frames"
        raise InputError(f"{source}: has no {asked}: nothing was added")
    already = f", {known} were there already" if known else ""
    print(f"{frames(kept)} added to the review queue{already}")
    if unreadable:
        raise InputError(unreadable)
    if missing:
        raise InputError(f"{source}: has no frame {', '.join(map(str, sorted(missing)))}: the others were added")
    return 0


def _captures(settings: SourceSettings) -> Iterator[tuple[int, Capture]]:
    number = 0
    with open_source(settings) as opened:
        for capture in opened.captures():
            if capture is not None:
                yield number, capture
                number += 1


def _marked_ns(line: LineConfig) -> frozenset[int]:
    """Capture times of the marked frames and of the frames of marked coils."""
    with needs_extra("`inspector collect --marked`"):
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.marks import marked_times_ns
    with Database(str(line.records.url)).reading("cannot be read") as connection:
        found = marked_times_ns(connection)
    if not found:
        raise InputError("nothing is marked: `inspector mark CAMERA:FRAME` marks a frame")
    return found


def _captured_ns(source: Path, number: int, capture: Capture) -> int:
    """When a frame was captured; without a time, one that is the same whenever the frame is added."""
    if capture.captured_ns is not None:
        return capture.captured_ns
    file = source / capture.file if capture.file else source
    return (file if file.exists() else source).stat().st_mtime_ns + number


def _verdict(camera: str, number: int, capture: Capture, captured_ns: int) -> Verdict:
    return Verdict(
        camera=camera,
        frame_id=number,
        captured_ns=captured_ns,
        position_mm=capture.position_mm or 0.0,
        coil=capture.coil,
        decision=Decision.ACCEPT,
        reasons=(),
        defects=(),
        recipe="",
        engine="none: added by hand",
        stage_ms={},
        file=capture.file,
        ingest_epoch=REPLAY_EPOCH,
    )
