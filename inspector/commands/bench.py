"""Measure the engine alone, the line around it, and the latency at half load, in one run."""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from inspector.backends import open_backend
from inspector.backends.instant import write_engine
from inspector.backends.speed import measure_speed
from inspector.commands.benchmark_app import BenchmarkApp
from inspector.commands.options import add_config, add_json, config_path, count, seconds
from inspector.commands.session import run_session
from inspector.config.line import LineConfig, LoadedConfig, load_config
from inspector.config.sources import SimulatorSettings
from inspector.core.strip.edges import find_edges
from inspector.core.strip.optics import Lens, Optics
from inspector.engine.manifest import EngineFolder
from inspector.engine.signature import open_trusted
from inspector.machine import machine
from inspector.numbers import thousands
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.sources.simulator.source import SimulatorSource
from inspector.values import Pixels
from inspector.worker.frames_link import open_window

EXAMPLE: Final = "example: inspector bench --config line.toml"

DISTINCT_FRAMES: Final = 64
"""Frames held in memory and shown over and over, so that neither a renderer nor a disk is measured."""

CAMERA: Final = "bench"

STEADY: Final = "steady_frames_per_second"

SINGLE_FRAMES: Final = 100
"""Most frames timed one at a time; a slow engine gets fewer."""

INSTANT_FRAMES: Final = 20_000

TOGETHER_S: Final = 0.0005
"""Largest difference between verdicts of one turn, seconds: their times come from two clock readings."""

SETTLING_S: Final = 0.5
"""Time after its first verdict in which a line still warms up, seconds; the engine alone is measured warm."""


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """Speed of the engine with nothing around it."""

    frames_per_second: float
    """With all its slots in use."""
    latency_ms: float
    """Median of one frame at a time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument(
        "--seconds", type=seconds, default=3.0, metavar="S", help="length of each measurement (default 3)"
    )
    parser.add_argument(
        "--frames", type=count, metavar="N", help="frames through the line (default: what the engine does in S)"
    )
    parser.add_argument(
        "--rounds", type=count, default=9, metavar="N", help="measure engine and line in turn N times (default 9)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure the config's engine and a line around it in turns and print the figures.

    Returns the exit code. Raises InspectorError.
    """
    rounds: int = arguments.rounds
    config = load_config(config_path(arguments))
    folder = open_trusted(config.line.engine, config.line.trusted_keys)
    source = SimulatorSettings(
        type="simulator",
        height=folder.manifest.height,
        width=folder.manifest.width,
        distinct=DISTINCT_FRAMES,
    )
    images = frames_in_memory(source)
    alone, line, other = [], [], list[float | None]()
    app = BenchmarkApp.of(folder, config.line.backend.threads)
    with tempfile.TemporaryDirectory(prefix="inspector-bench-") as name:
        for round_ in range(rounds):
            alone.append(engine_alone(config.line, folder, images, arguments.seconds))
            through = source.model_copy(
                update={
                    "frames": arguments.frames or max(1, round(alone[0].frames_per_second * arguments.seconds))
                }
            )
            line.append(run_line(config, through, Path(name) / f"line-{round_}"))
            if app is not None:
                other.append(app.frames_per_second(arguments.seconds))
        half = run_line(
            config, through.model_copy(update={"frames_per_second": _median(line) / 2}), Path(name) / "half"
        )
        instant = run_instant(config, folder, source.model_copy(update={"frames": INSTANT_FRAMES}), Path(name))
    figures = _figures(alone, line, half, instant) | picture_costs(config.line, images)
    if app is not None:
        figures |= _beside(line, other, half, app.latency_ms(arguments.seconds))
    print(json.dumps(figures) if arguments.json else _table(figures, folder, rounds))
    return 0


def frames_in_memory(source: SimulatorSettings) -> Pixels:
    """Return the distinct frames of the simulated source, uint8 [N, H, W]."""
    once = source.model_copy(update={"frames": source.distinct, "frames_per_second": None})
    with SimulatorSource(once) as opened:
        return np.stack(
            [each.pixels for each in opened.captures() if each is not None and each.pixels is not None]
        )


def engine_alone(line: LineConfig, folder: EngineFolder, images: Pixels, length_s: float) -> EngineSpeed:
    """Measure the bare engine loop with frames from memory, then the latency of one frame at a time.

    The loop runs as many frames ahead as a worker does.
    """
    settings = line.backend
    with open_backend(folder, cache_dir=settings.cache, threads=settings.threads, slots=settings.slots) as backend:
        batch = line.batch.frames(folder.manifest.max_batch)
        backend.verify_golden()
        open_window(backend, batch, line.deadline_ms / 1e3)
        frames_per_second = measure_speed(backend, images, length_s, batch)["frames_per_second"]
        single: list[float] = []
        until_s = time.perf_counter() + length_s
        while not single or (len(single) < SINGLE_FRAMES and time.perf_counter() < until_s):
            started_s = time.perf_counter()
            backend.submit(len(single), images[len(single) % len(images)][np.newaxis])
            backend.wait()
            single.append((time.perf_counter() - started_s) * 1e3)
    return EngineSpeed(frames_per_second, statistics.median(single))


def run_line(config: LoadedConfig, source: SimulatorSettings, out: Path, **overrides: Any) -> dict[str, Any]:
    """Run a whole line on the simulated source without pictures; returns its summary and its `STEADY` rate."""
    line = config.line.model_copy(
        update={
            "cameras": {CAMERA: source},
            "gate": None,
            "health": None,
            "strip": None,
            "archive": None,
            "sinks": config.line.sinks.model_copy(update={"pictures": False}),
            "records": config.line.records.model_copy(update={"enabled": False}),
            **overrides,
        }
    )
    summary = run_session(config, line, out, report=False, quiet=True).summary
    return summary | {STEADY: steady_rate(out / VERDICTS_NAME) or summary["frames_per_second"]}


def steady_rate(log: Path) -> float | None:
    """Return verdicts per second after the warm-up; None if the run is too short to tell."""
    given_s = [
        verdict.captured_ns / 1e9 + verdict.stage_ms["total"] / 1e3
        for verdict in read_verdicts(log)
        if verdict.stage_ms
    ]
    settled_s = given_s[0] + SETTLING_S if given_s else 0.0
    counted = [at_s for at_s in given_s if at_s >= settled_s]
    # The rate starts at the first verdict, so verdicts of the same turn do not count.
    after = sum(at_s > counted[0] + TOGETHER_S for at_s in counted) if counted else 0
    return after / (counted[-1] - counted[0]) if after else None


def run_instant(
    config: LoadedConfig, folder: EngineFolder, source: SimulatorSettings, work: Path
) -> dict[str, Any]:
    """Run the same line around an engine that answers at once: the limit of everything but the engine."""
    manifest = folder.manifest
    instant = write_engine(
        work / "instant", height=manifest.height, width=manifest.width, classes=manifest.classes
    )
    return run_line(config, source, work / "instant-run", engine=instant.path)


def picture_costs(line: LineConfig, images: Pixels) -> dict[str, float]:
    """Return what ingest does to each picture if a camera's config asks for it, median ms per frame.

    Strip edges as the config has them, and corrections of brightness and lens, whatever the camera's own ones are.
    """
    places = [] if line.strip is None else [line.strip.camera(name) for name in line.cameras]
    costs: dict[str, float] = {}
    if any(place.edges is not None for place in places):
        costs["strip_edges_ms"] = _cost_ms(find_edges, images)
    if any(place.calibration is not None for place in places):
        height, width = images.shape[1:]
        lens = Lens((float(width),) * 2, (width / 2, height / 2), (-0.1, 0.0, 0.0, 0.0, 0.0))
        costs["calibration_ms"] = _cost_ms(Optics(height, width, np.ones(width, np.float32), lens).correct, images)
    return costs


def _cost_ms(step: Callable[[Pixels], object], images: Pixels) -> float:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as in a stage
    taken_ms: list[float] = []
    for pixels in images:
        started_s = time.perf_counter()
        step(pixels)
        taken_ms.append((time.perf_counter() - started_s) * 1e3)
    cv2.setNumThreads(threads)
    return round(statistics.median(taken_ms), 3)


def _median(line: list[dict[str, Any]]) -> float:
    return statistics.median(float(each[STEADY]) for each in line)


def _figures(
    alone: list[EngineSpeed], line: list[dict[str, Any]], half: dict[str, Any], instant: dict[str, Any]
) -> dict[str, Any]:
    ratios = [each[STEADY] / engine.frames_per_second for each, engine in zip(line, alone, strict=True)]
    single_ms = statistics.median(each.latency_ms for each in alone)
    return {
        "machine": machine(),
        "engine_frames_per_second": round(statistics.median(each.frames_per_second for each in alone), 1),
        "line_frames_per_second": round(_median(line), 1),
        "seconds": round(line[0]["captured"] / line[0]["frames_per_second"], 1),
        "line_over_engine": round(statistics.median(ratios), 3),
        "line_over_engine_rounds": [round(ratio, 3) for ratio in ratios],
        "engine_latency_ms": round(single_ms, 2),
        "half_load_frames_per_second": half["frames_per_second"],
        "half_load_latency_ms": half["latency_ms"],
        "half_load_p99_over_engine_latency": round(half["latency_ms"]["p99"] / single_ms, 2),
        "instant_frames_per_second": round(instant[STEADY], 1),
        "uninspected": sum(each["uninspected"] for each in (*line, half, instant)),
    }


def _beside(
    line: list[dict[str, Any]], other: list[float | None], half: dict[str, Any], latency_ms: float | None
) -> dict[str, Any]:
    """Compare the line with OpenVINO's benchmark_app, measured in the same rounds."""
    pairs = [(each[STEADY], rate) for each, rate in zip(line, other, strict=True) if rate]
    found: dict[str, Any] = {}
    if pairs:
        found["benchmark_app_frames_per_second"] = round(statistics.median(rate for _, rate in pairs), 1)
        found["line_over_benchmark_app"] = round(statistics.median(own / rate for own, rate in pairs), 3)
    if latency_ms:
        found["benchmark_app_latency_ms"] = latency_ms
        found["half_load_p50_over_benchmark_app"] = round(half["latency_ms"]["p50"] / latency_ms, 2)
    return found


def _table(figures: dict[str, Any], folder: EngineFolder, rounds: int) -> str:
    half = figures["half_load_latency_ms"]
    size = f"{folder.manifest.height}×{folder.manifest.width}"
    rows = {
        "machine": figures["machine"],
        "engine": f"{folder.identity}, {size}, {figures['seconds']} s × {rounds} rounds",
        "engine alone": (
            f"{thousands(figures['engine_frames_per_second'], 1)} frames/s, "
            f"one frame {figures['engine_latency_ms']:.1f} ms"
        ),
        "line": f"{thousands(figures['line_frames_per_second'], 1)} frames/s",
        "line over engine": f"{figures['line_over_engine']:.3f} (rounds {figures['line_over_engine_rounds']})",
        "line at half load": (
            f"capture to verdict p50 {half['p50']:.1f} ms, p99 {half['p99']:.1f} ms = "
            f"{figures['half_load_p99_over_engine_latency']:.2f} × the engine's time for one frame"
        ),
        "line, instant engine": f"{thousands(figures['instant_frames_per_second'])} frames/s",
        "uninspected": str(figures["uninspected"]),
    }
    if "line_over_benchmark_app" in figures:
        rows["line over benchmark_app"] = (
            f"{figures['line_over_benchmark_app']:.3f}, which does "
            f"{thousands(figures['benchmark_app_frames_per_second'], 1)} frames/s"
        )
    if "half_load_p50_over_benchmark_app" in figures:
        rows["p50 over benchmark_app"] = (
            f"{figures['half_load_p50_over_benchmark_app']:.2f} at half load; one frame takes it "
            f"{figures['benchmark_app_latency_ms']:.1f} ms"
        )
    for key, what in (("strip_edges_ms", "strip edges"), ("calibration_ms", "gain and lens")):
        if key in figures:
            rows[what] = f"{figures[key]:.2f} ms a frame, in ingest"
    return "\n".join(f"{what:24s} {found}" for what, found in rows.items())
