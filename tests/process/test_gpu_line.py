"""A line of real processes on a TensorRT engine, the GPU behind it a stand-in; and what happens when it dies."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import write_gpu_engine
from tests.support.gpu_pcs import child_environment, stand_in_gpu
from tests.support.kernel_engine import KernelLine
from tests.support.lines import LineUnderTest, Run

SIZE = (64, 128)
FRAMES = 40
BEFORE_IT = 15 - 3
"""Frames that were answered when the fifteenth went in: all but what three slots hold."""
LAUNCHES_BEFORE_THE_STRIP = 3 * 4 + 1
"""Three slots with graphs of 1, 2, 4 and 8 frames, and the golden frames."""


class GpuLine(LineUnderTest):
    """The same line on a PC with a GPU."""

    gpu: dict[str, str]

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "inspector", *map(str, arguments)]
        environment = child_environment(**self.gpu) | {"INSPECTOR_LOG_LEVEL": "info"}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )


@pytest.fixture
def line(tmp_path: Path) -> GpuLine:
    line = GpuLine(tmp_path, SIZE)
    line.gpu = {}
    with stand_in_gpu():
        write_gpu_engine(tmp_path / "gpu-engine", "tensorrt", SIZE, max_batch=8)
    line.config.write_text(line.config.read_text().replace('engine = "engine"', 'engine = "gpu-engine"'))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text() + "[classes.dark]\nmin_area_mm2 = 4\n")
    return line


@pytest.fixture
def frames(line: GpuLine, tmp_path: Path) -> Path:
    """Simulated steel, as `inspector record` keeps it."""
    out = tmp_path / "recording"
    process = line.start("record", "--config", line.config, "--camera", "top", "--frames", FRAMES, "--out", out)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return out


def essence(run: Run) -> list[tuple[Any, ...]]:
    return [(verdict["frame_id"], verdict["decision"], verdict["defects"]) for verdict in run.verdicts]


def test_a_replay_on_tensorrt_gives_the_same_verdicts_twice(line: GpuLine, frames: Path, tmp_path: Path) -> None:
    """Ingest, worker, decide: every frame has its verdict, whatever batches the frames fell into."""
    first = line.replay(frames, out=tmp_path / "a")
    assert first.code == 0, first.stderr
    assert first.summary["captured"] == FRAMES
    assert first.summary["uninspected"] == 0
    assert first.summary["engine"].startswith("bright-blocks@")
    (started,) = first.logged("worker started")
    assert started["device"] == "Stand-in GPU, fp32, TensorRT 11.4.0.106"
    second = line.replay(frames, "--golden", first.out, out=tmp_path / "b")
    assert second.code == 0, second.stderr
    assert essence(first) == essence(second)


def test_a_cuda_error_ends_the_worker_with_one_clear_line(line: GpuLine, frames: Path) -> None:
    """The line stops with exit 1; announced frames are uninspected, and no frame is lost."""
    line.gpu = {"CUDA_FAIL": f"cudaGraphLaunch@{LAUNCHES_BEFORE_THE_STRIP + 2}=cudaErrorIllegalAddress"}
    run = line.replay(frames)
    assert run.code == 1
    (stopped,) = [each for each in run.logged("stopped") if each["process"] == "worker"]
    assert "bright-blocks@" in stopped["error"]
    assert "on Stand-in GPU: cuda" in stopped["error"]
    assert "(cudaErrorIllegalAddress)" in stopped["error"]
    assert run.summary["captured"] == run.summary["accepted"] + run.summary["uninspected"]
    assert run.summary["uninspected"] > 0


def test_an_illegal_access_in_a_running_line_ends_it_and_loses_nothing(tmp_path: Path) -> None:
    """A frame makes the kernel write to an invalid address, as tests/gpu does on a real GPU."""
    run = KernelLine(tmp_path, SIZE, frames=30, poisoned=15).inspect(child_environment())
    assert run.code == 1, run.stderr
    (stopped,) = [each for each in run.logged("stopped") if each["process"] == "worker"]
    assert "(cudaErrorIllegalAddress)" in stopped["error"]
    assert "on Stand-in GPU: cuda" in stopped["error"]
    assert run.summary["accepted"] >= BEFORE_IT
    assert run.summary["uninspected"] >= 1


def test_check_names_what_the_engine_runs_on(line: GpuLine) -> None:
    """Library, GPU, capability and driver in one row, to send along with a bug report."""
    process = line.start("check", "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, stdout
    rows = {row["what"]: row["found"] for row in json.loads(stdout)["checks"]}
    for fact in ("tensorrt 11.4.0.106", "gpu Stand-in GPU", "compute_capability 9.0", "cuda_driver 13.2"):
        assert fact in rows["this PC"]
    assert ", batch 8, 3 slots, " in rows["speed"]


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ({"CUDA_GPU": ""}, "needs an NVIDIA GPU"),
        ({"TENSORRT_VERSION": "11.3.0.99"}, "built with TensorRT 11.4.0.106, here is 11.3.0.99"),
        ({"CUDA_GPU": "Other GPU,8.6"}, "this GPU is Other GPU (8.6)"),
    ],
)
def test_check_says_what_this_pc_lacks(line: GpuLine, gpu: dict[str, str], said: str) -> None:
    """Exit 2, and the finding names the command to run."""
    line.gpu = gpu
    process = line.start("check", "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    (finding,) = [row for row in json.loads(stdout)["checks"] if row["state"] == "wrong"]
    assert finding["what"] == "golden frames"
    assert said in finding["found"]
    assert "build-engine" in finding["found"]
