"""What each process grows by over many frames, records on: memory, descriptors, threads; and what lies on disk.

python -m tests.benchmarks.soak [INSTANT_FRAMES [DEMO_FRAMES]]
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from inspector.backends.instant import write_engine
from inspector.machine import machine
from inspector.sinks.summary import read_summary
from inspector.sinks.verdict_log import VERDICTS_NAME

INSTANT_FRAMES = 500_000
DEMO_FRAMES = 20_000

INTERVAL_S = 0.5
SETTLED_SHARE = 0.1
"""Growth counts from here on: buffers and caches have found their size."""
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
[sinks]
out = "runs"
pictures = {pictures}
[records]
enabled = true
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
        config = CONFIG.format(engine="engine", recipe="recipe.toml", frames=instant_frames, pictures="false")
        soak(folder, config, f"engine that answers at once, {instant_frames} frames of 256×1600")
    with tempfile.TemporaryDirectory() as name:
        demo = CONFIG.format(
            engine=DEMO / "engine", recipe=DEMO / "recipe.toml", frames=demo_frames, pictures="true"
        )
        soak(Path(name), demo, f"demo engine, {demo_frames} frames of 256×1600, pictures too")
    print(machine())


def soak(folder: Path, config: str, title: str) -> None:
    """One line to its end, and its table."""
    (folder / "line.toml").write_text(config)
    run = folder / "runs" / "run"
    command = [sys.executable, "-m", "inspector", "run", "--config", folder / "line.toml", "--out", run]
    started_s = time.monotonic()
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        moments = list(_moments(process, run / VERDICTS_NAME))
    seconds = time.monotonic() - started_s
    if process.returncode:
        raise SystemExit(f"{title}: the line ended with exit code {process.returncode}")
    summary = read_summary(run)
    with closing(sqlite3.connect(folder / "runs" / "records.sqlite")) as database:
        (recorded,) = database.execute("SELECT COUNT(*) FROM verdicts").fetchone()
    print(f"{title}: {summary['captured'] / seconds:.0f} frames/s, {seconds:.0f} s, {len(moments)} samples")
    print(f"{'':26s} {'settled':>10s} {'highest':>10s} {'growth':>10s}")
    for row in _growths(moments):
        print(f"{row.of:26s} {row.settled:10.1f} {row.highest:10.1f} {row.growth:+10.1f}")
    frames = summary["captured"]
    for what, size in _sizes(folder / "runs").items():
        print(f"{what:26s} {size / 1e6:10.1f} MB = {size / frames:.0f} bytes a frame")
    print(
        f"captured {frames} = accepted {summary['accepted']} + rejected {summary['rejected']} + uninspected "
        f"{summary['uninspected']}; {recorded} records, {summary['records_lost']} lost\n"
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """All processes of the line at one moment."""

    logged: int
    """Bytes of verdicts so far: how far the line is."""
    samples: dict[str, Sample]


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
            yield Moment(log.stat().st_size, samples)


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


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _sizes(runs: Path) -> dict[str, int]:
    """What the run has left on disk, in bytes."""

    def size(found: Callable[[Path], bool]) -> int:
        return sum(path.stat().st_size for path in runs.rglob("*") if path.is_file() and found(path))

    return {
        "verdicts.jsonl": size(lambda path: path.name.startswith("verdicts")),
        "records": size(lambda path: path.name.startswith("records.sqlite")),
        "pictures": size(lambda path: path.parent.name == "rejects"),
    }


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
