"""What `make test-gpu` measures with, on engines that need no GPU."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from inspector.backends import open_backend
from inspector.backends.instant import write_engine
from tests.support.engines import write_gpu_engine, write_preset_engine
from tests.support.gpu_figures import BatchSpeed, ManyCameras, as_table, batch_speeds, record
from trainer.build.request import GpuOptions

SIZE = (64, 128)
RECIPE = 'name = "test"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n[classes.bright]\nmin_area_mm2 = 4\n'


def test_every_batch_size_up_to_the_largest_is_timed(tmp_path: Path) -> None:
    """Powers of two and the largest, in frames per second and in time per batch."""
    folder = write_gpu_engine(tmp_path / "engine", "torch", SIZE, max_batch=6)
    with open_backend(folder, threads=1) as engine:
        speeds = batch_speeds(engine, np.zeros((3, *SIZE), np.uint8), seconds=0.05)
    assert [each.batch for each in speeds] == [1, 2, 4, 6]
    assert all(each.frames_per_second > 0 and each.alone_ms > 0 for each in speeds)


def test_the_table_has_a_line_a_batch_size() -> None:
    """It is readable in a bug report: what, batch, frames per second, milliseconds."""
    lines = as_table("fast, torch", [BatchSpeed(1, 812.4, 1.91), BatchSpeed(32, 2104.0, 15.2)]).splitlines()
    assert [line.split() for line in lines] == [
        ["fast,", "torch", "batch", "frames/s", "one", "batch,", "ms"],
        ["1", "812.4", "1.91"],
        ["32", "2104.0", "15.20"],
    ]


def test_a_network_nobody_trained_becomes_an_engine(tmp_path: Path) -> None:
    """It goes through the real exporter and builder; its golden frames only require that it repeats itself."""
    gpu = GpuOptions(max_batch=2, device="cpu")
    folder = write_preset_engine(tmp_path / "fast", "torch", "fast", SIZE, gpu, "fp32")
    assert (folder.manifest.name, folder.manifest.map_stride) == ("fast", 4)
    with open_backend(folder, threads=1) as engine:
        assert engine.verify_golden().mask_agreement == 1


@pytest.mark.slow
def test_several_cameras_run_at_full_speed_and_at_a_pace(tmp_path: Path) -> None:
    """One ingest a camera, one engine: every frame of each has its verdict; a pace is all cameras' together."""
    engine = write_engine(tmp_path / "engine", height=SIZE[0], width=SIZE[1])
    line = ManyCameras(tmp_path, engine, RECIPE, cameras=3)
    full = line.inspect("full", frames=90)
    assert (full.code, full.summary["uninspected"]) == (0, 0), full.stderr
    assert Counter(verdict["camera"] for verdict in full.verdicts) == {f"camera-{n}": 30 for n in (1, 2, 3)}
    paced = line.inspect("paced", frames=60, frames_per_second=60)
    assert paced.code == 0, paced.stderr
    assert 0 < full.worker_cpu_s < full.worker_s * (os.cpu_count() or 1)
    times_ns = [verdict["captured_ns"] for verdict in paced.verdicts]
    assert max(times_ns) - min(times_ns) > 0.8e9


def test_a_figure_is_in_the_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of JSON each, behind those of processes before; numpy's numbers are numbers."""
    monkeypatch.setenv("GPU_FIGURES", str(tmp_path / "figures.jsonl"))
    record("first", ms=np.float32(1.5))
    record("second", said="no")
    lines = (tmp_path / "figures.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"what": "first", "ms": 1.5}, {"what": "second", "said": "no"}]
