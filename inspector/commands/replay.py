"""`inspector replay`: runs the line on a recorded source, which waits instead of dropping frames."""

import json
import sys
from pathlib import Path
from typing import Final

from inspector.commands.golden import compare
from inspector.commands.session import print_summary, run_session
from inspector.config.line import RecordingSettings, load_config
from inspector.config.recipe import load_recipe
from inspector.errors import SourceError
from inspector.sources import open_source, source_settings
from inspector.sources.recording import RecordingSource

DEADLINE_MS: Final = 60_000.0
"""Deadline of a replay, ms.

No gate waits for a replay's verdicts, so a slow engine gives the same verdicts as a fast one; a stuck engine still
ends.
"""

DIFFERS: Final = 3
"""Exit code when verdicts differ from --golden."""

SHOWN_DIFFERENCES: Final = 20


def replay(
    source: Path, config_path: Path, out: Path, golden: Path | None, *, records: bool, as_json: bool
) -> int:
    """Inspect a folder of images, a video or a recording; returns the exit code. Raises InspectorError."""
    config = load_config(config_path)
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
            "strip": None,
            "sinks": config.line.sinks.model_copy(update={"keep_all": True}),
            # Without this, steel that was inspected live would be in the records twice.
            "records": config.line.records.model_copy(update={"enabled": records}),
        }
    )
    finished = run_session(config, line, out.resolve(), quiet=as_json)
    if as_json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print_summary(finished)
    if finished.stopped:
        return 1
    return _approve(golden, finished.out, as_json=as_json) if golden is not None else 0


def _approve(golden: Path, out: Path, *, as_json: bool) -> int:
    differences = compare(golden, out)
    if not differences.lines:
        if not as_json:
            print(f"golden   all {differences.frames} verdicts are those of {golden}")
        return 0
    if not as_json:
        print(f"golden   {len(differences.lines)} of {differences.frames} verdicts differ from {golden}")
        for flip, count in differences.flips.most_common():
            print(f"  {count:6d}   {flip}")
        for said in differences.lines[:SHOWN_DIFFERENCES]:
            print(f"  {said}")
    return DIFFERS
