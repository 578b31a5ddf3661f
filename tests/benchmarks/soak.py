"""What each process grows by over many frames, records on: memory, descriptors, threads; and what lies on disk.

python -m tests.benchmarks.soak [INSTANT_FRAMES [DEMO_FRAMES]]
"""

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from inspector.backends.instant import write_engine
from inspector.machine import machine
from inspector.results import REJECTS_FOLDER, VERDICTS_NAME
from inspector.sinks.summary import read_summary

INSTANT_FRAMES = 500_000
INSTANT_PACE = 1_500
"""Frames a second, which the records keep up with. As fast as it can, the line gives verdicts faster than SQLite
takes them; its queue then fills up to a limit, which is not the growth that this test looks for."""
DEMO_FRAMES = 60_000

KEEP_DAYS = 30 / 86_400
"""Half a minute: retention is at work while it is looked at, and records and pictures must find their size."""

INTERVAL_S = 0.5
SETTLED_SHARE = 0.5
"""Growth counts from here on: buffers and caches have found their size, and retention has been at work."""
AVERAGED_SHARE = 0.1
"""Of the settled samples, at either end: one sample may fall on a batch in flight."""

PROCESSES = 4
"""`inspector run` and its three stages."""

DEMO = Path(__file__).parents[2] / "configs" / "demo"

RECIPE = 'name = "soak"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.bright]\n'

CONFIG = """
name = "soak"
engine = "{engine}"
recipe = "{recipe}"
[cameras.top]
type = "simulator"
distinct = 64
frames = {frames}
{pace}
[sinks]
out = "runs"
pictures = {pictures}
[records]
enabled = true
keep_days = {keep_days}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    memory_mb: float
    descriptors: float
    threads: float


@dataclass(slots=True)
class Growth:
    """One row of the table."""

    of: str
    settled: float
    highest: float
    growth: float


def main(instant_frames: int = INSTANT_FRAMES, demo_frames: int = DEMO_FRAMES) -> None:
    """Run both lines, read /proc meanwhile, and print what has grown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_engine(folder / "engine")
        (folder / "recipe.toml").write_text(RECIPE)
        pace = f"frames_per_second = {INSTANT_PACE}"
        config = _config("engine", "recipe.toml", instant_frames, pictures="false", pace=pace)
        soak(folder, config, f"engine that answers at once, {instant_frames} frames of 256×1600")
    with tempfile.TemporaryDirectory() as name:
        config = _config(DEMO / "engine", DEMO / "recipe.toml", demo_frames, pictures="true")
        soak(Path(name), config, f"demo engine, {demo_frames} frames of 256×1600, pictures too")
    print(machine())


def _config(engine: Path | str, recipe: Path | str, frames: int, pictures: str, pace: str = "") -> str:
    return CONFIG.format(
        engine=engine, recipe=recipe, frames=frames, pictures=pictures, pace=pace, keep_days=KEEP_DAYS
    )


def soak(folder: Path, config: str, title: str) -> None:
    """One line to its end, and its table."""
    (folder / "line.toml").write_text(config)
    run = folder / "runs" / "run"
    command = [sys.executable, "-m", "inspector", "run", "--config", folder / "line.toml", "--out", run]
    started_s = time.monotonic()
    log = folder / "log"
    with log.open("wb") as file, subprocess.Popen([*map(str, command)], stdout=file, stderr=file) as process:
        moments = list(_moments(process, run / VERDICTS_NAME))
    seconds = time.monotonic() - started_s
    if process.returncode:
        raise SystemExit(f"{title}: the line ended with exit code {process.returncode}:\n{log.read_text()}")
    summary = read_summary(run)
    with closing(sqlite3.connect(folder / "runs" / "records.sqlite")) as database:
        kept, recorded = database.execute("SELECT COUNT(*), MAX(id) FROM verdicts").fetchone()
    print(f"{title}: {summary['captured'] / seconds:.0f} frames/s, {seconds:.0f} s, {len(moments)} samples")
    print(f"{'':32s} {'settled':>10s} {'highest':>10s} {'growth':>10s}")
    for row in _growths(moments):
        print(f"{row.of:32s} {row.settled:10.1f} {row.highest:10.1f} {row.growth:+10.1f}")
    print(
        f"captured {summary['captured']} = accepted {summary['accepted']} + rejected {summary['rejected']} + "
        f"uninspected {summary['uninspected']}\n"
        f"records: {recorded} written, {kept} of them kept, {summary['records_lost']} lost\n"
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """All processes of the line at one moment."""

    logged: int
    """Bytes of verdicts so far: how far the line is."""
    samples: dict[str, Sample]
    disk_mb: dict[str, float]


def _moments(process: "subprocess.Popen[bytes]", log: Path) -> Iterator[Moment]:
    """From when the line has all its processes until it ends."""
    while process.poll() is None:
        time.sleep(INTERVAL_S)
        samples = {}
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children()]:
            try:
                sample = Sample(each.memory_info().rss / 1e6, each.num_fds(), each.num_threads())
                samples[each.cmdline()[3]] = sample
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied, IndexError):
                continue
        if len(samples) == PROCESSES and log.exists():
            yield Moment(log.stat().st_size, samples, _disk_mb(log.parent))


def _growths(moments: list[Moment]) -> Iterator[Growth]:
    """While frames went through: not while the line started, not while it ended."""
    end = max(moment.logged for moment in moments)
    settled = [moment.samples for moment in moments if SETTLED_SHARE * end <= moment.logged < end]
    averaged = max(1, int(AVERAGED_SHARE * len(settled)))
    for stage in settled[-1]:
        for kind in fields(Sample):
            values = [getattr(samples[stage], kind.name) for samples in settled]
            first, last = _mean(values[:averaged]), _mean(values[-averaged:])
            yield Growth(f"{stage} {kind.name.replace('_', ' ')}", first, max(values), last - first)
    # Retention deletes once a minute: sizes go up and down, and what counts is how high they come.
    disk = [moment.disk_mb for moment in moments]
    for what in disk[-1]:
        sizes = [each[what] for each in disk]
        early, late = max(sizes[: len(sizes) // 2]), max(sizes[len(sizes) // 2 :])
        yield Growth(f"{what} MB (highest of halves)", early, max(early, late), late - early)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _disk_mb(run: Path) -> dict[str, float]:
    return {
        "records": _mb(run.parent.glob("records.sqlite*")),
        "pictures": _mb((run / REJECTS_FOLDER).glob("*")),
    }


def _mb(files: Iterable[Path]) -> float:
    size = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # retention is at work
            size += path.stat().st_size
    return size / 1e6


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
