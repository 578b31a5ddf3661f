"""Inspect a folder of images, a video or a recording.

Runs the whole line; the source waits instead of dropping frames."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inspector.commands.given_source import add_grey_window, given_source
from inspector.commands.golden import compare
from inspector.commands.options import add_config, add_json, config_path, path
from inspector.commands.session import Finished, print_summary, run_session
from inspector.config.line import LineConfig, LoadedConfig, load_config
from inspector.config.recipe import load_recipe
from inspector.config.sources import FolderSettings, ListSettings, RecordingSettings, SourceSettings
from inspector.errors import InputError, SourceError
from inspector.numbers import thousands
from inspector.render.numbers import length
from inspector.results import VERDICTS_NAME
from inspector.sources import at_scale, following, open_source
from inspector.sources.recording.source import RecordingSource

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
    parser.add_argument(
        "source",
        type=path,
        nargs="*",
        metavar="SOURCE",
        help="folder of images, image, 'pattern*', video, or recording; several come one after the other",
    )
    add_grey_window(parser)
    add_config(parser)
    parser.add_argument("--out", type=path, help="folder for verdicts, summary, report and pictures")
    parser.add_argument(
        "--follow", action="store_true", help="continue with images that appear later, until Ctrl-C"
    )
    parser.add_argument("--resume", type=path, metavar="DIR", help="continue the interrupted replay in DIR")
    parser.add_argument("--golden", type=path, help="folder of an earlier replay: exit 3 if verdicts differ")
    parser.add_argument("--records", action="store_true", help="write to the config's database too, as a live run")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Inspect a source, or continue an interrupted replay; returns the exit code. Raises InspectorError."""
    if arguments.resume is None:
        return _replay(arguments)
    own = (arguments.source, arguments.config, arguments.out, arguments.records, arguments.follow)
    if any(own) or arguments.grey_window is not None:
        raise InputError(
            "--resume continues a replay with its own settings: only --golden and --json may be added"
        )
    from inspector.commands.resume import resume

    return resume(arguments.resume, arguments.golden, as_json=arguments.json)


def _replay(arguments: argparse.Namespace) -> int:
    """Inspect folders of images, videos or recordings, one after the other.

    With --follow, continues with images that appear later, until a stop.
    """
    sources: Sequence[Path] = arguments.source
    golden: Path | None = arguments.golden
    if not sources or arguments.out is None:
        raise InputError("give SOURCE and --out DIR, or --resume DIR to continue a replay")
    config = load_config(config_path(arguments))
    named = ", ".join(map(str, sources))
    of_config = [known for known in config.line.cameras.values() if isinstance(known, RecordingSettings)]
    given = given_source(sources, config.line, None, arguments.grey_window)
    settings = at_scale(
        following(given) if arguments.follow else given,
        load_recipe(config.line.recipe).recipe.mm_per_px_along,
        rescale=any(known.rescale for known in of_config),
    )
    camera = _recorded_camera(settings) or next(iter(config.line.cameras))
    with open_source(settings) as opened:
        # Opening the source here makes an unreadable one fail before any process starts.
        if opened.total() == 0:
            raise SourceError(f"{named}: holds no frames")
        for note in opened.notes():
            print(f"{named if len(sources) == 1 else 'sources'}: {note}", file=sys.stderr)
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
            "archive": None,
            "sinks": config.line.sinks.model_copy(update={"keep_all": True}),
            # Without this, steel that was inspected live would be in the records twice.
            "records": config.line.records.model_copy(update={"enabled": arguments.records}),
        }
    )
    finished = run_session(config, line, arguments.out.resolve(), quiet=arguments.json)
    code = finish(finished, golden, line, as_json=arguments.json)
    # The verdicts were given without the strip; what it says of the coils comes from their log.
    judged = line.model_copy(update={"strip": config.line.strip})
    show_coils(LoadedConfig(config.path, judged, config.identity), finished.out, quiet=arguments.json)
    return code


def show_coils(config: LoadedConfig, out: Path, *, quiet: bool) -> None:
    """Judge the replay's coils, and write and name the reports of the first few."""
    from inspector.report.report import write_report
    from inspector.report.verdict_files import Selection
    from inspector.strip.replayed import judge_replay

    results = judge_replay(config, out) if (out / VERDICTS_NAME).exists() else []
    for result in results[:MOST_COIL_REPORTS]:
        report = write_report(out, selection=Selection(result.id), coil=result)
        if not quiet:
            plan = result.plan or result.recipe
            print(f"coil     {result.id}: {result.verdict}, {length(result.length_mm)}, plan {plan}")
            for reason in result.reasons:
                print(f"  {reason}")
            print(f"  report {report}")
    left = len(results) - MOST_COIL_REPORTS
    if left > 0 and not quiet:
        print(f"coil     {left} more: inspector report {out} --coil NAME")


MOST_COIL_REPORTS: Final = 5
"""Coils of a replay whose reports are written at once."""


def finish(finished: Finished, golden: Path | None, line: LineConfig, *, as_json: bool) -> int:
    """Print a replay's summary and compare it with the golden one; returns the exit code."""
    if as_json:
        print(json.dumps(finished.summary, ensure_ascii=False))
    else:
        print_summary(finished)
    if finished.exit_code and not any(_follows(settings) for settings in line.cameras.values()):
        if not as_json:
            print(f"stopped  `inspector replay --resume {finished.out}` continues it")
        return finished.exit_code
    return _approve(golden, finished.out, as_json=as_json) if golden is not None else 0


def _follows(settings: SourceSettings) -> bool:
    """Return whether only a stop ends this source."""
    if isinstance(settings, ListSettings):
        return _follows(settings.sources[-1])
    return isinstance(settings, FolderSettings) and settings.follow


def _recorded_camera(settings: SourceSettings) -> str | None:
    """Return the recordings' camera; None without recordings. Raises SourceError for several cameras."""
    every = settings.sources if isinstance(settings, ListSettings) else (settings,)
    cameras = {RecordingSource(each.path).camera for each in every if isinstance(each, RecordingSettings)}
    if len(cameras) > 1:
        raise SourceError(
            f"recordings of cameras {', '.join(sorted(cameras))}: replay those of one camera at a time"
        )
    return next(iter(cameras), None)


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
