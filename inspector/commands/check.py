"""`inspector check`: everything that can be known before the start, in one table."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from inspector import __version__
from inspector.backends import Backend, open_backend
from inspector.backends.speed import measure_speed
from inspector.config import LoadedConfig, SourceSettings, load_config
from inspector.engine import golden
from inspector.engine.manifest import GOLDEN_NAME, EngineFolder, open_folder
from inspector.errors import InputError, InspectorError
from inspector.machine import machine
from inspector.recipe import load_recipe
from inspector.sources import open_source, source_settings
from inspector.wire.links import LINKS, endpoint

LEAST_FREE_BYTES: Final = 1_000_000_000
"""Less free space than this will not hold a shift's pictures."""

SPEED_S: Final = 1.0
"""How long the engine is timed; a table that takes longer is not asked for when it is needed."""


class Findings:
    """What was checked, and how it stands."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def check(self, what: str, look: Callable[[], str]) -> bool:
        """Run one check; an InspectorError is its finding."""
        try:
            self.rows.append({"what": what, "state": "ok", "found": look()})
        except InspectorError as error:
            self.rows.append({"what": what, "state": "wrong", "found": str(error)})
            return False
        return True

    @property
    def wrong(self) -> int:
        """How many checks failed."""
        return sum(row["state"] == "wrong" for row in self.rows)


def check(config_path: Path, source: Path | None, *, as_json: bool) -> int:
    """Check a line, or what it would make of `source`; returns 0 when it would start, else 2."""
    findings = Findings()
    loaded: list[Any] = []
    if findings.check("config", lambda: _keep(loaded, load_config(config_path)).identity):
        _check_line(findings, loaded[0], source)
    if as_json:
        print(json.dumps({"ok": not findings.wrong, "checks": findings.rows}, ensure_ascii=False))
    else:
        for row in findings.rows:
            print(f"{row['state']:6s} {row['what']:18s} {row['found']}")
    return InputError.exit_code if findings.wrong else 0


def _check_line(findings: Findings, config: LoadedConfig, source: Path | None) -> None:
    line = config.line
    engines: list[EngineFolder] = []
    if findings.check("engine files", lambda: _keep(engines, open_folder(line.engine)).identity):
        folder = engines[0]
        findings.check("recipe", lambda: load_recipe(line.recipe).bind(folder.manifest).identity)
        _check_engine(findings, config, folder)
        if source is not None:
            findings.check("source", lambda: _source(source_settings(source), folder))
        else:
            for name, settings in line.cameras.items():
                findings.check(f"camera {name}", partial(_source, settings, folder))
    else:
        findings.check("recipe", lambda: load_recipe(line.recipe).identity)
    findings.check("links", lambda: _links(config))
    findings.check("disk", lambda: _disk(line.sinks.out))


def _check_engine(findings: Findings, config: LoadedConfig, folder: EngineFolder) -> None:
    """Does it answer here as it did at the build, and how fast; and what a bug report must tell."""
    settings = config.line.backend
    backend = open_backend(folder, cache_dir=settings.cache, threads=settings.threads, slots=settings.slots)
    with ExitStack() as stack:
        if findings.check("golden frames", lambda: _golden(stack.enter_context(backend))):
            findings.check("parity", lambda: _parity(folder))
            findings.check("speed", lambda: _speed(backend))
            findings.check("this PC", lambda: _this_pc(backend))


def _golden(backend: Backend) -> str:
    agreement = backend.verify_golden()
    return f"mask agreement {agreement.mask_agreement:.4f} on {backend.device()}"


def _parity(folder: EngineFolder) -> str:
    found = folder.manifest.quality.get("engine_against_model")
    if found is None:
        return "not measured when it was built"
    return f"{found['mask_agreement']:.4%} of the pixels of {found['frames']} frames as the model, at the build"


def _speed(backend: Backend) -> str:
    frames = golden.load(backend.folder.file(GOLDEN_NAME)).frames
    now, before = measure_speed(backend, frames, SPEED_S), backend.manifest.speed
    at_build = f"; at the build {before['frames_per_second']} on {before['device']}" if before else ""
    return (
        f"{now['frames_per_second']} frames/s alone, batch {now['batch']}, {now['slots']} slots, a batch "
        f"{now['median_ms']} ms{at_build}"
    )


def _this_pc(backend: Backend) -> str:
    facts = {"inspector": __version__, **backend.versions(), "machine": machine()}
    return "; ".join(f"{name} {value}" for name, value in facts.items())


def _source(settings: SourceSettings, folder: EngineFolder) -> str:
    wanted = (folder.manifest.height, folder.manifest.width)
    with open_source(settings) as source:
        sizes = list(source.sizes())
        total = source.total()
    others = Counter(size for _, size in sizes if size != wanted)
    if others:
        name = next(name for name, size in sizes if size != wanted)
        found = ", ".join(f"{count} of {height}×{width}" for (height, width), count in others.most_common(3))
        raise InputError(
            f"{sum(others.values())} of {len(sizes)} frames ({found}; first {name}) do not have the engine's size "
            f"{wanted[0]}×{wanted[1]}: they would end UNINSPECTED"
        )
    frames = "frames without end" if total is None else f"{total} frames"
    unreadable = f", {total - len(sizes)} of them unreadable" if sizes and total and total > len(sizes) else ""
    return f"{settings.type}, {frames}{unreadable}"


def _links(config: LoadedConfig) -> str:
    for link in LINKS:
        for camera in config.line.cameras if link.per_camera else [None]:
            endpoint(link, config.line.links, camera)
    return str(config.line.links)


def _disk(out: Path) -> str:
    folder = next(parent for parent in (out, *out.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, pictures need {LEAST_FREE_BYTES / 1e9:.0f}: free some"
        )
    return f"{free / 1e9:.0f} GB free at {folder}"


def _keep(kept: list[Any], value: Any) -> Any:
    kept.append(value)
    return value
