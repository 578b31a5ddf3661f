"""Inspect a folder of images, a video or a recording.

Runs the whole line; the source waits instead of dropping frames."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from inspector.commands.golden import compare
from inspector.commands.options import add_config, add_json, config_path, path
from inspector.commands.session import print_summary, run_session
from inspector.config.line import RecordingSettings, load_config
from inspector.config.recipe import load_recipe
from inspector.errors import SourceError
from inspector.render.numbers import thousands
from inspector.sources import open_source, source_settings
from inspector.sources.recording import RecordingSource

EXAMPLE: Final = (
    "example: inspector replay frames/ --config line.toml --out out/coil-17 --golden out/coil-17-approved"
)

DEADLINE_MS: Final = 60_000.0
"""Deadline of a replay, ms.

No gate waits for a replay's verdicts, so a slow engine gives the same verdicts as a fast one; a stuck engine still
ends.
"""

DIFFERS: Final = 3
"""Exit code when verdicts differ from --golden."""

SHOWN_DIFFERENCES: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=path, metavar="SOURCE", help="folder of images, video file, or recording")
    add_config(parser)
    parser.add_argument(
        "--out", type=path, required=True, help="folder for verdicts, summary, report and pictures"
    )
    parser.add_argument("--golden", type=path, help="folder of an earlier replay: exit 3 if verdicts differ")
    parser.add_argument("--records", action="store_true", help="write to the config's database too, as a live run")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Inspect a folder of images, a video or a recording; returns the exit code. Raises InspectorError."""
    source: Path = arguments.source
    golden: Path | None = arguments.golden
    config = load_config(config_path(arguments))
    settings = source_settings(source)
    camera = next(iter(config.line.cameras))
    if isinstance(settings, RecordingSettings):
        of_config = [known for known in config.line.cameras.values() if isinstance(known, RecordingSettings)]
        scale = {
            "mm_per_px": load_recipe(config.line.recipe).recipe.mm_per_px_along,
            "rescale": any(known.rescale for known in of_config),
        }
        settings = settings.model_copy(update=scale)
    with open_source(settings) as opened:
        # Opening the source here makes an unreadable one fail before any process starts.
        if isinstance(settings, RecordingSettings) and isinstance(opened, RecordingSource):
            camera = opened.camera
        if opened.total() == 0:
            raise SourceError(f"{source}: holds no frames")
        for note in opened.notes():
            print(f"{source}: {note}", file=sys.stderr)
    if golden is not None:
        compare(golden, golden)
    line = config.line.model_copy(
        update={
            "cameras": {camera: settings},
            "deadline_ms": DEADLINE_MS,
            "replay": True,
            "gate": None,
            "health": None,
            "sinks": config.line.sinks.model_copy(update={"keep_all": True}),
            # Without this, steel that was inspected live would be in the records twice.
            "records": config.line.records.model_copy(update={"enabled": arguments.records}),
        }
    )
    finished = run_session(config, line, arguments.out.resolve(), quiet=arguments.json)
    if arguments.json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print_summary(finished)
    if finished.exit_code:
        return finished.exit_code
    return _approve(golden, finished.out, as_json=arguments.json) if golden is not None else 0


def _approve(golden: Path, out: Path, *, as_json: bool) -> int:
    differences = compare(golden, out)
    if not differences.lines:
        if not as_json:
            print(f"golden   all {thousands(differences.frames)} verdicts are as in {golden}")
        return 0
    if not as_json:
        print(
            f"golden   {thousands(len(differences.lines))} of {thousands(differences.frames)} verdicts "
            f"differ from {golden}"
        )
        for flip, count in differences.flips.most_common():
            print(f"  {thousands(count):>7s}   {flip}")
        for said in differences.lines[:SHOWN_DIFFERENCES]:
            print(f"  {said}")
    return DIFFERS
