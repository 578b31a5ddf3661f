"""Check whether a line would start: config, recipe, engine, golden frames, cameras (opened), PLC (read from).

Prints everything that would stop the start in one table; exit code 2 if anything would."""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from inspector.backends import open_backend
from inspector.commands import check_engine
from inspector.commands.given_source import add_grey_window, given_source
from inspector.commands.limits import learned_limits, limits_text
from inspector.commands.options import add_config, add_engine, add_json, config_path, path
from inspector.config.line import LoadedConfig, load_config
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.config.sources import SourceSettings
from inspector.engine.manifest import EngineFolder, check_successor, read_manifest
from inspector.engine.signature import open_trusted
from inspector.errors import ConfigError, InputError, InspectorError
from inspector.folders import is_of_root, refuse_foreign_folder
from inspector.numbers import thousands
from inspector.passwords import masked
from inspector.sinks.gate.modbus import reach
from inspector.sinks.records import check_records
from inspector.sources import Source, open_source
from inspector.sources.folder.source import FolderSource
from inspector.sources.sequence import SequenceSource
from inspector.strip.check import look
from inspector.strip.views import look_at_cameras
from inspector.supervisor.table import DECIDE, INGEST, PROCESSES
from inspector.wire.curve import check_view
from inspector.wire.links import LINKS, endpoint

EXAMPLE: Final = "example: inspector check --config line.toml"

LEAST_FREE_BYTES: Final = 1_000_000_000
"""Smallest free space, bytes; less does not hold a shift's pictures."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One process that is about to start: its check skips what other processes own and what it checks itself."""

    name: str
    camera: str | None
    engine: Path | None


class Findings:
    """Results of the checks so far."""

    def __init__(self, *, show: bool) -> None:
        self.rows: list[dict[str, str]] = []
        self._show = show

    def check(self, what: str, look: Callable[[], str]) -> bool:
        """Run one check and print its result at once, because later checks may take long.

        An InspectorError becomes the result. Returns whether the check passed.
        """
        try:
            state, text = "ok", look()
        except InspectorError as error:
            state, text = "wrong", str(error)
        found = masked(text)
        self.rows.append({"what": what, "state": state, "found": found})
        if self._show:
            print(f"{state:6s} {what:18s} {found}", flush=True)
        return state == "ok"

    @property
    def wrong(self) -> int:
        """Number of failed checks."""
        return sum(row["state"] == "wrong" for row in self.rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=path, nargs="*", metavar="SOURCE", help="check this source, not the config's cameras"
    )
    add_grey_window(parser)
    add_config(parser, installed=True)
    parser.add_argument(
        "--stage", choices=[process.name for process in PROCESSES], help="only what this stage needs; no camera"
    )
    parser.add_argument("--camera", help="with --stage ingest: a camera of the config")
    add_engine(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check a whole line, or only one process; returns 0 if it would start, else 2."""
    engine: Path | None = arguments.engine
    if arguments.camera is not None and arguments.stage != INGEST.name:
        raise InputError("--camera selects the camera of --stage ingest: give --stage ingest too")
    if arguments.grey_window is not None and not arguments.source:
        raise InputError("--grey-window is for a SOURCE: a camera has grey_window in the config")
    stage = Stage(arguments.stage, arguments.camera, engine) if arguments.stage else None
    file = config_path(arguments)
    findings = Findings(show=not arguments.json)
    loaded: list[Any] = []
    if findings.check("config", lambda: _keep(loaded, load_config(file)).identity):
        if stage is None:
            config = loaded[0] if engine is None else loaded[0].with_engine(engine)
            _check_line(findings, config, arguments.source, arguments.grey_window)
        else:
            _check_stage(findings, loaded[0], stage)
    if arguments.json:
        print(json.dumps({"ok": not findings.wrong, "checks": findings.rows}, ensure_ascii=False))
    return InputError.exit_code if findings.wrong else 0


def _check_line(
    findings: Findings, config: LoadedConfig, sources: Sequence[Path], window: Sequence[int] | None
) -> None:
    line = config.line
    engines: list[EngineFolder] = []
    if findings.check(
        "engine files", lambda: _keep(engines, open_trusted(line.engine, line.trusted_keys)).identity
    ):
        folder = engines[0]
        # Checks that only read files come first: a misspelt key shows up before any slow measurement.
        recipes: list[LoadedRecipe] = []
        if findings.check(
            "recipe", lambda: _keep(recipes, load_recipe(line.recipe)).bind(folder.classes).identity
        ):
            for name, limits in learned_limits(line.links, line.cameras, recipes[0].identity).items():
                findings.check(f"picture {name}", partial(limits_text, limits, recipes[0]))
            if line.plans:
                findings.check("plans", lambda: ", ".join(config.plans().bind(folder.classes)))
            _check_engine(findings, config, folder)
        if sources:
            findings.check("source", lambda: _source(given_source(sources, line, None, window), config, folder))
        else:
            for name, settings in line.cameras.items():
                findings.check(f"camera {name}", partial(_source, settings, config, folder))
    else:
        findings.check("recipe", lambda: load_recipe(line.recipe).identity)
    if line.gate is not None:
        gate = line.gate
        findings.check("gate", lambda: f"read from the PLC, wrote nothing: {reach(gate)}")
    if line.strip is not None:
        strip = line.strip
        findings.check("strip", lambda: look(strip))
        findings.check("strip cameras", lambda: look_at_cameras(config))
    findings.check("links", lambda: _links(config, stage=False))
    findings.check("view", lambda: check_view(line.view))
    if line.records.enabled:
        findings.check("records", lambda: check_records(line))
    findings.check("disk", lambda: _disk(line.sinks.out))


def _check_stage(findings: Findings, config: LoadedConfig, stage: Stage) -> None:
    """Check one process.

    Opens no camera, because some accept only one reader, and runs no golden frame: the process does both before it
    is ready. A full disk does not stop a start, because verdicts continue without it.
    """
    line = config.line
    if stage.name == INGEST.name:
        findings.check("camera", lambda: _known(config, stage.camera))
        findings.check("recipe", lambda: load_recipe(line.recipe).identity)
    else:
        engine = line.engine if stage.engine is None else stage.engine
        engines: list[EngineFolder] = []
        if findings.check(
            "engine files", lambda: _keep(engines, open_trusted(engine, line.trusted_keys)).identity
        ):
            findings.check("recipe", lambda: load_recipe(line.recipe).bind(engines[0].classes).identity)
            if line.plans:
                findings.check("plans", lambda: ", ".join(config.plans().bind(engines[0].classes)))
            if stage.engine is not None:
                findings.check("line", lambda: _fits(engines[0], line.engine))
        if stage.name == DECIDE.name:
            findings.check("view", lambda: check_view(line.view))
    findings.check("links", lambda: _links(config, stage=True))


def _fits(folder: EngineFolder, line_engine: Path) -> str:
    check_successor(folder.manifest, read_manifest(line_engine))
    return "same frame size and classes as the config's engine"


def _known(config: LoadedConfig, camera: str | None) -> str:
    cameras = config.line.cameras
    if camera is not None and camera not in cameras:
        raise ConfigError(f"{config.path}: cameras: no camera {camera}; the config has {', '.join(cameras)}")
    return camera or next(iter(cameras))


def _check_engine(findings: Findings, config: LoadedConfig, folder: EngineFolder) -> None:
    """Check that the engine gives the results of its build, and show its speed and the facts for a bug report."""
    settings = config.line.backend
    backend = open_backend(folder, cache_dir=settings.cache, threads=settings.threads, slots=settings.slots)
    with ExitStack() as stack:
        if findings.check("golden frames", lambda: check_engine.golden_frames(stack.enter_context(backend))):
            findings.check("parity", lambda: check_engine.parity(folder.manifest))
            findings.check("speed", lambda: check_engine.speed(backend))
            findings.check("this PC", lambda: check_engine.this_pc(backend))


def _source(settings: SourceSettings, config: LoadedConfig, folder: EngineFolder) -> str:
    manifest = folder.manifest
    fit = config.line.frames.fit(manifest.height, manifest.width, manifest.map_stride)
    with open_source(settings) as source:
        sizes = list(source.sizes())
        _check_readable(source)
        total = source.total()
        notes = "".join(f"; {note}" for note in source.notes())
    # A folder reports the size of every readable file; other sources report one size for all frames.
    unread = total - len(sizes) if settings.type == "folder" and sizes and total else 0
    unfit = [(name, size) for name, size in sizes if fit.tiles(size) is None]
    if unfit:
        found = _counted(Counter(size for _, size in unfit))
        raise InputError(
            f"{thousands(len(unfit))} of {thousands(len(sizes))} frames ({found}; first {unfit[0][0]}) do not "
            f"have the engine's size {manifest.height}×{manifest.width}: they would end UNINSPECTED; "
            "[frames] tile and pad in the config would inspect them"
            + (f"; {unread} more cannot be read" if unread else "")
        )
    fitted = Counter(size for _, size in sizes if size != fit.engine)
    if fitted:
        most = max(fit.inputs(size) for size in fitted)
        another = f"{thousands(fitted.total())} of another size ({_counted(fitted)})"
        notes = f"; {another}, at most {most} engine inputs a frame{notes}"
    unstated = "length unknown" if settings.type in {"video", "recording"} else "endless"
    frames = unstated if total is None else f"{thousands(total)} frames"
    unreadable = f", {unread} of them unreadable" if unread else ""
    return f"{settings.type}, {frames}{unreadable}{notes}"


def _check_readable(source: Source) -> None:
    """Raise InputError for a folder without a readable image: not one of its frames would be inspected."""
    for part in source.parts() if isinstance(source, SequenceSource) else [source]:
        if isinstance(part, FolderSource) and part.total() and next(part.sizes(), None) is None:
            first = next((capture for capture in part.captures() if capture is not None), None)
            why = f": {first.fault.text}" if first is not None and first.fault is not None else ""
            raise InputError(f"{part.path}: none of its {thousands(part.total() or 0)} images can be read{why}")


def _counted(sizes: Counter[tuple[int, int]]) -> str:
    return ", ".join(f"{count} of {height}×{width}" for (height, width), count in sizes.most_common(3))


def _links(config: LoadedConfig, *, stage: bool) -> str:
    # A service's folder belongs to its users; an operator who runs the check need not be in their group.
    if stage or not is_of_root(config.line.links):
        refuse_foreign_folder(config.line.links)
    for link in LINKS:
        for camera in config.line.cameras if link.per_camera else [None]:
            endpoint(link, config.line.links, camera)
    return str(config.line.links)


def _disk(out: Path) -> str:
    out = out.resolve()
    folder = next(parent for parent in (out, *out.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, pictures need {LEAST_FREE_BYTES / 1e9:.0f} GB: free some space"
        )
    return f"{free / 1e9:.0f} GB free at {folder}"


def _keep(kept: list[Any], value: Any) -> Any:
    kept.append(value)
    return value
