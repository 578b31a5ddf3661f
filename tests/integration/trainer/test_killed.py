"""SIGKILL in the middle of each long command: no partial result counts as complete, and it can be rerun."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.labelled import write_label_maps
from trainer.artifacts.new_folder import new_folder
from trainer.cli import main

from .conftest import TRAIN_OPTIONS

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 120.0
FRAMES = 400
"""Enough that a command reading them is still at it when it is killed."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A larger data set."""
    return write_label_maps(tmp_path_factory.mktemp("many") / "steel", frames=FRAMES)


def _kill_once(started: Callable[[int], bool], command: list[str], log: Path) -> None:
    """Run the command, and kill it as soon as `started(its pid)`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.cli", *command], cwd=ROOT, stdout=file, stderr=file
        )
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not started(process.pid) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(PATIENCE_S) == -signal.SIGKILL, log.read_text()


def _reads(folder: Path) -> Callable[[int], bool]:
    """Whether a process has a file of `folder` open: it is in the middle of its frames."""

    def reads(pid: int) -> bool:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                if handle.readlink().is_relative_to(folder):
                    return True
            except OSError:  # closed meanwhile
                continue
        return False

    return reads


def _builds(out: Path, name: str) -> Callable[[int], bool]:
    """Whether a file of this name is in the temporary folder beside `out`."""
    return lambda _: any(out.parent.glob(f".{out.name}.*/{name}"))


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "log")


def test_a_killed_simulation_leaves_no_data_set_and_runs_again(tmp_path: Path) -> None:
    """Its temporary folder is not the data set, and the next start removes it."""
    out = tmp_path / "steel"
    command = ["simulate", "--out", str(out), "--height", "64", "--width", "64", "--seed", "3"]
    _kill_once(_builds(out, "train_images/*"), [*command, "--frames", "50000"], tmp_path / "log")
    assert not out.exists()
    assert _left(tmp_path) != []
    assert main([*command, "--frames", "6"]) == 0
    assert _left(tmp_path) == ["steel"]
    assert len(list((out / "train_images").iterdir())) == 6


def test_a_killed_split_leaves_no_file_and_runs_again(frames: Path, tmp_path: Path) -> None:
    """A split is whole or not there."""
    out = tmp_path / "split.json"
    command = ["split", str(frames), "--out", str(out)]
    _kill_once(_reads(frames), command, tmp_path / "log")
    assert not out.exists()
    assert main(command) == 0


def test_a_killed_check_leaves_no_page_and_runs_again(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page is whole or not there."""
    out = tmp_path / "page.html"
    command = ["check-data", str(frames), "--html", str(out)]
    _kill_once(_reads(frames), command, tmp_path / "log")
    assert not out.exists()
    assert main(command) == 0
    assert out.read_text().rstrip().endswith("</html>")


@pytest.mark.slow
def test_a_training_that_is_killed_while_it_reads_its_frames_is_resumed(frames: Path, tmp_path: Path) -> None:
    """It resumes with its original options, like a run that had started to learn."""
    out = tmp_path / "run"
    command = ["train", "--data", str(frames), "--out", str(out), "--epochs", "1", *TRAIN_OPTIONS]
    _kill_once(_reads(frames), command, tmp_path / "log")
    assert not (out / "split.json").exists()
    assert main(["train", "--out", str(out), "--resume"]) == 0
    assert {"best.ckpt", "last.ckpt", "run.json", "split.json"} <= set(_left(out))


@pytest.mark.slow
def test_a_killed_export_leaves_no_model_and_runs_again(run_folder: Path, tmp_path: Path) -> None:
    """Killed once the ONNX file is there and the card is not."""
    out = tmp_path / "model"
    command = ["export", str(run_folder / "best.ckpt"), "--out", str(out)]
    _kill_once(_builds(out, "model.onnx"), command, tmp_path / "log")
    assert not out.exists()
    assert main(command) == 0
    assert _left(tmp_path) == ["model"]


def test_a_killed_build_leaves_no_engine_and_runs_again(model_folder: Path, data: Path, tmp_path: Path) -> None:
    """Killed once the engine's files are there and its figures are not."""
    out = tmp_path / "engine"
    command = ["build-engine", str(model_folder), "--precision", "fp32", "--calibration", str(data)]
    command += ["--out", str(out)]
    _kill_once(_builds(out, "manifest.json"), command, tmp_path / "log")
    assert not out.exists()
    assert main(command) == 0
    assert _left(tmp_path) == ["engine"]


def test_what_a_living_process_builds_is_left_alone(tmp_path: Path) -> None:
    """The folder of a running process stays, because its lock is held."""
    out = tmp_path / "steel"
    with new_folder(out) as one:
        (one / "mine").touch()
        with suppress(KeyboardInterrupt), new_folder(out):
            assert (one / "mine").exists()
            raise KeyboardInterrupt
    assert [path.name for path in out.iterdir()] == ["mine"]
