"""Inspects one unit with `inspector replay`, in a separate process; runs on any PC that sees the folders."""

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from inspector.errors import WorkError
from inspector.files import write_whole
from inspector.reinspect.units import Unit
from inspector.results import VERDICTS_NAME
from inspector.runtime.stop import stop_with_parent
from inspector.sinks.records.rows import RUN_KEY_NAME

DONE_NAME: Final = "done.json"

_KEPT: Final = (VERDICTS_NAME, "summary.json", "line.json", "recipe.toml")
"""Files of a replay that its unit keeps; pictures and reports of millions of frames would fill the disk."""


class Job(msgspec.Struct, frozen=True):
    """The settings that all units share."""

    config: str
    engine: str
    """Folder."""
    engine_identity: str
    config_identity: str
    out: str
    """Folder of the units' results."""


class Done(msgspec.Struct, frozen=True):
    """A unit that is finished."""

    unit: str
    engine: str
    config: str
    frames: int
    seconds: float
    host: str


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
    as_now = (job.engine_identity, job.config_identity, unit.frames)
    return done if (done.engine, done.config, done.frames) == as_now else None


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
        kept.mkdir()
        for name in _KEPT:
            shutil.move(run / name, kept / name)
        # The same unit with the same engine is the same run in the database, however often it is inspected.
        key = uuid5(NAMESPACE_URL, f"reinspect:{unit.name}:{job.engine_identity}:{job.config_identity}")
        write_whole(kept / RUN_KEY_NAME, str(key).encode())
        seconds = round(time.monotonic() - began_s, 3)
        done = Done(
            unit.name, job.engine_identity, job.config_identity, unit.frames, seconds, socket.gethostname()
        )
        write_whole(kept / DONE_NAME, msgspec.json.encode(done))
        if finished(job, unit) is None:  # another worker may have been thought dead, and was not
            shutil.rmtree(folder, ignore_errors=True)
            kept.rename(folder)
    return done


def _replay(job: Job, unit: Unit, out: Path) -> None:
    command = [sys.executable, "-m", "inspector", "replay", *map(str, unit.recordings)]
    command += ["--config", job.config, "--out", str(out), "--json"]
    ended = subprocess.run(
        command,
        env=os.environ | {"INSPECTOR_ENGINE": job.engine, "INSPECTOR_SINKS__PICTURES": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=functools.partial(stop_with_parent, os.getpid()),
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise WorkError(said[-1])
