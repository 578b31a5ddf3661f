"""A whole line on a GPU: several cameras, real processes, full speed and a pace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.commands.bench import engine_alone, frames_in_memory
from inspector.config.line import load_config
from inspector.config.sources import SimulatorSettings
from inspector.engine.manifest import EngineFolder
from tests.support.gpu_figures import ManyCameras, record

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),
    pytest.mark.parametrize("backend_here", ["torch", "tensorrt"], indirect=True, scope="module"),
]

DEMO = Path(__file__).parents[2] / "configs" / "demo"

CAMERAS = 4
FRAMES = 16_000
ALONE_S = 8.0
PACE = 1_000
"""Frames a second at which latency is asked for."""
PACE_FRAMES = 8_000

LEAST_OF_THE_ENGINE = 0.85
"""Share of the bare engine loop that must reach the verdicts, in one run."""

FULL_SIZE_CORES = 16
"""Cores of the PC the two targets below are of; on a smaller one its own cores end it first."""
TARGET_A_SECOND = 2_000
TARGET_P99_MS = 15.0


def test_a_line_with_several_cameras(
    backend_here: str, tmp_path: Path, demo_engine: Callable[[str, str], EngineFolder]
) -> None:
    """Nothing uninspected at full speed; what the engine does alone, and what of it reaches a verdict."""
    folder = demo_engine(backend_here, "fp16")
    line = ManyCameras(tmp_path, folder, (DEMO / "recipe.toml").read_text(), CAMERAS)
    full = line.inspect("full", FRAMES)
    assert full.code == 0, full.stderr
    images = frames_in_memory(SimulatorSettings(type="simulator", distinct=16, frames=16))
    alone = engine_alone(load_config(line.config).line, folder, images, ALONE_S)
    paced = line.inspect("paced", PACE_FRAMES, PACE)
    assert paced.code == 0, paced.stderr
    verdicts_a_second, latency = full.summary["frames_per_second"], paced.summary["latency_ms"]
    share = verdicts_a_second / alone.frames_per_second
    record(
        f"line, {CAMERAS} cameras, {backend_here} fp16",
        cores=os.cpu_count(),
        engine_alone_frames_per_second=alone.frames_per_second,
        verdicts_per_second=verdicts_a_second,
        share=share,
        worker_cpu_ms_per_frame=full.worker_cpu_s * 1e3 / FRAMES,
        worker_cores=full.worker_cpu_s / full.worker_s,
        paced_at=PACE,
        paced_p50_ms=latency["p50"],
        paced_p99_ms=latency["p99"],
        paced_uninspected=paced.summary["uninspected"],
        paced_worker_cores=paced.worker_cpu_s / paced.worker_s,
    )
    assert full.summary["captured"] == FRAMES
    assert full.summary["uninspected"] == 0
    assert share >= LEAST_OF_THE_ENGINE
    if (os.cpu_count() or 1) >= FULL_SIZE_CORES:
        assert verdicts_a_second >= TARGET_A_SECOND
        assert paced.summary["uninspected"] == 0
        assert latency["p99"] <= TARGET_P99_MS
