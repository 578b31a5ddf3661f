"""Inspects one unit with `inspector replay`, in a separate process; runs on any PC that sees the folders."""

import functools
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from inspector.archive.camera import MISSED
from inspector.config.line import LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.config.sinks import RECORDS_URL
from inspector.errors import WorkError
from inspector.files import write_whole
from inspector.reinspect.units import Unit
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.runtime.stop import stop_with_parent
from inspector.sinks.records.rows import RUN_KEY_NAME
from inspector.values import Code

DONE_NAME: Final = "done.json"

_KEPT: Final = (VERDICTS_NAME, "summary.json", "line.json", "recipe.toml")
"""Files of a replay that its unit keeps; pictures and reports of millions of frames would fill the disk."""


JUDGE_BY: Final = {"name", "coil", "frames", "batch", "cameras"}
"""Settings of line.toml on which a replay's verdicts depend; variables may change them."""


class Recipe(msgspec.Struct, frozen=True):
    """A recipe of the line."""

    path: str
    identity: str
    """Name and content hash."""


class Job(msgspec.Struct, frozen=True):
    """The settings that all units share."""

    config: str
    engine: str
    """Folder."""
    engine_identity: str
    settings: str
    """Hash of the config and of the variables that change it."""
    recipes: dict[str, Recipe]
    """By plan; the line's recipe under the empty name."""
    environment: dict[str, str]
    """Variables that change the config: a worker on another PC has its own ones."""
    out: str
    """Folder of the units' results."""

    def identity(self, unit: Unit) -> str:
        """Hash of everything that the unit's verdicts depend on, beside its frames."""
        left_out = [name for name, _ in unit.damaged]
        recipe = self.recipes[unit.plan].identity
        return _digest([self.engine_identity, self.settings, recipe, *left_out])


class Done(msgspec.Struct, frozen=True):
    """A unit that is finished."""

    unit: str
    identity: str
    engine: str
    recipe: str
    frames: int
    seconds: float
    host: str


def make_job(config: LoadedConfig, engine: Path, engine_identity: str, out: Path) -> Job:
    """Return the job of a config and an engine. Raises ConfigError for a recipe that cannot be used."""
    line = config.line
    paths = {"": line.recipe} | {name: plan.recipe for name, plan in line.plans.items()}
    recipes = {name: Recipe(str(path), load_recipe(path).identity) for name, path in paths.items()}
    return Job(
        str(config.path.resolve()),
        str(engine),
        engine_identity,
        _digest([config.identity, line.model_dump_json(include=JUDGE_BY)]),
        recipes,
        {name: value for name, value in os.environ.items() if _is_override(name)},
        str(out),
    )


def _is_override(variable: str) -> bool:
    # The database's URL may hold a password, and a replay does not use it.
    return variable.upper().startswith("INSPECTOR_") and variable.upper() != RECORDS_URL


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def result_folder(job: Job, unit: Unit) -> Path:
    """Return the path of a finished unit's verdicts."""
    return Path(job.out) / unit.folder


def finished(job: Job, unit: Unit) -> Done | None:
    """Return the notes of a finished unit; None for one that is not finished, or was inspected otherwise."""
    try:
        done = msgspec.json.decode((result_folder(job, unit) / DONE_NAME).read_bytes(), type=Done)
    except (OSError, msgspec.DecodeError):
        return None
    # A coil that is still archived gets more frames.
    return done if (done.identity, done.frames) == (job.identity(unit), unit.frames) else None


def inspect_unit(job: Job, unit: Unit) -> Done:
    """Inspect a unit, unless that is done. Raises WorkError with the last line of the replay's output.

    The result appears whole, by a rename: a worker that is killed leaves nothing that another could take for it.
    """
    if (before := finished(job, unit)) is not None:
        return before
    began_s = time.monotonic()
    folder = result_folder(job, unit)
    Path(job.out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unit-", dir=job.out, ignore_cleanup_errors=True) as private:
        run, kept = Path(private) / "run", Path(private) / "kept"
        _replay(job, unit, run)
        _refuse_unreadable(run)
        kept.mkdir()
        for name in _KEPT:
            shutil.move(run / name, kept / name)
        # The same unit, inspected in the same way, is the same run in the database, however often that is done.
        identity, recipe = job.identity(unit), job.recipes[unit.plan].identity
        key = uuid5(NAMESPACE_URL, f"reinspect:{unit.name}:{identity}")
        write_whole(kept / RUN_KEY_NAME, str(key).encode())
        seconds = round(time.monotonic() - began_s, 3)
        host = socket.gethostname()
        done = Done(unit.name, identity, job.engine_identity, recipe, unit.frames, seconds, host)
        write_whole(kept / DONE_NAME, msgspec.json.encode(done))
        if finished(job, unit) is None:  # another worker may have been thought dead, and was not
            shutil.rmtree(folder, ignore_errors=True)
            kept.rename(folder)
    return done


def _replay(job: Job, unit: Unit, out: Path) -> None:
    command = [sys.executable, "-m", "inspector", "replay", *map(str, unit.recordings)]
    command += ["--config", job.config, "--out", str(out), "--json"]
    environment = {name: value for name, value in os.environ.items() if not _is_override(name)}
    fixed = {
        "INSPECTOR_ENGINE": job.engine,
        "INSPECTOR_RECIPE": job.recipes[unit.plan].path,
        "INSPECTOR_SINKS__PICTURES": "false",
    }
    ended = subprocess.run(
        command,
        env=environment | job.environment | fixed,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=functools.partial(stop_with_parent, os.getpid()),
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise WorkError(said[-1])


def _refuse_unreadable(run: Path) -> None:
    """Raise WorkError for a unit without a frame that can be read: it is not finished."""
    frames, why = 0, ""
    for verdict in read_verdicts(run / VERDICTS_NAME):
        if Code.UNREADABLE not in verdict.codes:
            if MISSED.text not in verdict.reasons:
                return
            continue
        frames += 1
        why = why or verdict.reasons[0]
    if frames:
        raise WorkError(f"none of its {frames} frames can be read: {why}")
