"""Figures a GPU is bought for: an engine at every batch size, and a whole line around it with several cameras."""

import json
import os
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from inspector.backends.base import Backend
from inspector.backends.speed import measure_speed
from inspector.engine.manifest import EngineFolder
from inspector.values import Pixels
from tests.support.lines import LineUnderTest, Run, stage

ALONE = 30
"""Batches that are timed one at a time."""

SAMPLE_S = 0.1

DEADLINE_MS = 2000
"""At full speed frames wait for the engine on purpose; none may be given up for that."""


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """An engine at one batch size."""

    batch: int
    frames_per_second: float
    """All slots in use."""
    alone_ms: float
    """Median of one batch with nothing else in flight: copy in, compute, copy out."""


def record(what: str, **figures: Any) -> None:
    """A line of JSON: printed, and at once in the file that GPU_FIGURES names, so that a run cut off keeps it."""
    line = json.dumps({"what": what, **figures}, default=float)
    print(f"\n{line}", flush=True)
    if path := os.environ.get("GPU_FIGURES"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def batch_speeds(engine: Backend, frames: Pixels, seconds: float) -> list[BatchSpeed]:
    """1, 2, 4 … and the largest batch, each for so many seconds."""
    largest = engine.manifest.max_batch
    sizes = sorted({2**power for power in range(largest.bit_length())} | {largest})
    return [_batch_speed(engine, frames, seconds, batch) for batch in sizes]


def _batch_speed(engine: Backend, frames: Pixels, seconds: float, batch: int) -> BatchSpeed:
    full = measure_speed(engine, frames, seconds, batch)
    given = np.ascontiguousarray(np.take(frames, range(batch), axis=0, mode="wrap"))
    alone: list[Any] = []
    until_s = time.perf_counter() + seconds
    while len(alone) < ALONE and (not alone or time.perf_counter() < until_s):
        started_s = time.perf_counter()
        engine.submit(len(alone), given)
        engine.wait()
        alone.append((time.perf_counter() - started_s) * 1e3)
    return BatchSpeed(batch, full["frames_per_second"], statistics.median(alone))


def as_table(what: str, speeds: list[BatchSpeed]) -> str:
    """One line a batch size."""
    rows = [f"{what:24s} {'batch':>6s} {'frames/s':>10s} {'one batch, ms':>14s}"]
    rows += [f"{'':24s} {each.batch:6d} {each.frames_per_second:10.1f} {each.alone_ms:14.2f}" for each in speeds]
    return "\n".join(rows)


@dataclass
class MeasuredRun(Run):
    """A run, and what its worker used of the CPU."""

    worker_cpu_s: float = 0.0
    worker_s: float = 0.0
    """From its start to its end; loading the engine is in both."""


class ManyCameras(LineUnderTest):
    """A line with several ingest processes on one engine, each showing frames it has in memory."""

    def __init__(self, folder: Path, engine: EngineFolder, recipe: str, cameras: int) -> None:
        self.folder, self.config = folder, folder / "line.toml"
        self._engine, self._cameras = engine, cameras
        (folder / "recipe.toml").write_text(recipe)

    def inspect(self, name: str, frames: int, frames_per_second: float | None = None) -> MeasuredRun:
        """`inspector run` over so many frames, all cameras together at that pace or as fast as it goes."""
        manifest = self._engine.manifest
        source = {"type": "simulator", "height": manifest.height, "width": manifest.width, "distinct": 16}
        source["frames"] = frames // self._cameras
        if frames_per_second is not None:
            source["frames_per_second"] = frames_per_second / self._cameras
        cameras = {f"camera-{number}": source | {"seed": number} for number in range(1, self._cameras + 1)}
        self.config.write_text(_toml(self._engine.path, manifest.max_batch, cameras))
        out = self.folder / name
        process = self.start("run", "--config", self.config, "--out", out)
        with ThreadPoolExecutor(1) as sampler:
            worker = sampler.submit(_cpu_of_worker, process)
            run = self.finish(process, out, timeout=300)
        return MeasuredRun(**vars(run), **worker.result())  # type: ignore[arg-type]


def _cpu_of_worker(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Looks again and again, until the worker is gone: a process that has ended tells nothing."""
    used = {"worker_cpu_s": 0.0, "worker_s": 0.0}
    try:
        worker = stage(process, "worker")
        while process.poll() is None:
            times = worker.cpu_times()
            used = {"worker_cpu_s": times.user + times.system, "worker_s": time.time() - worker.create_time()}
            time.sleep(SAMPLE_S)
    except (psutil.NoSuchProcess, psutil.ZombieProcess, AssertionError):
        return used  # AssertionError: the line ended before it had a worker; the test sees its exit code
    return used


def _toml(engine: Path, batch: int, cameras: dict[str, dict[str, Any]]) -> str:
    lines = ['name = "figures"', f"engine = {json.dumps(str(engine))}", 'recipe = "recipe.toml"']
    lines += [f"deadline_ms = {DEADLINE_MS}", "[batch]", f"max_frames = {batch}", "[sinks]", "pictures = false"]
    for name, source in cameras.items():
        lines += [f"[cameras.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in source.items())]
    return "\n".join(lines) + "\n"
