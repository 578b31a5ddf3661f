"""Checkpoints are whole or not there, an unreadable one is named, and the best is the latest of the best."""

import re
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from inspector.errors import WorkError
from trainer.cli import main
from trainer.training.checkpoint_files import WholeCheckpointIO

from .conftest import TRAIN_OPTIONS


def test_a_checkpoint_that_cannot_be_written_leaves_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a full disk nor a partial file of a killed run harms it, and no temporary folder is needed."""
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    path = tmp_path / "run" / "last.ckpt"
    files = WholeCheckpointIO()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".last.ckpt.part").write_bytes(b"half of a killed run's")
    files.save_checkpoint({"step": 1, "weights": torch.zeros(8)}, path)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(WorkError, match=r"last\.ckpt: cannot be written .*the previous checkpoint is kept"):
            files.save_checkpoint({"step": 2, "weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files.load_checkpoint(path, weights_only=True)["step"] == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_half_a_checkpoint_is_named_with_a_way_on(
    run_folder: Path, tmp_path: Path, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """By --resume, --init and export: one line, no traceback."""
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    for name in ("last.ckpt", "other.ckpt"):
        (run / name).write_bytes((run_folder / "last.ckpt").read_bytes()[:kept])
    for command in (
        ["train", "--out", str(run), "--resume"],
        ["export", str(run / "other.ckpt"), "--out", str(tmp_path / "m")],
    ):
        capsys.readouterr()
        assert main(command) == 2
        *_, line = capsys.readouterr().err.strip().splitlines()
        assert re.match(r"trainer [a-z-]+: error: ", line)
        assert "cut off" in line
        assert ".ckpt" in line
    assert not (tmp_path / "m").exists()


def test_on_a_plateau_the_latest_is_the_best(
    data: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that learns nothing keeps its figure, and the run warns about it."""
    out = tmp_path / "run"
    options = [*TRAIN_OPTIONS, "--norm", "group", "--lr", "1e-12", "--epochs", "3"]
    assert main(["train", "--data", str(data), "--out", str(out), *options]) == 0
    best, last = (torch.load(out / f"{name}.ckpt", weights_only=True)["global_step"] for name in ("best", "last"))
    assert best == last == 9
    assert "is no better than calling every pixel normal" in capsys.readouterr().err


def test_a_network_that_learned_is_not_warned_of(
    data: Path, run_folder: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run from a good checkpoint is better than all normal after one epoch, without a warning."""
    options = [*TRAIN_OPTIONS, "--lr", "1e-6", "--epochs", "1", "--init", str(run_folder / "best.ckpt")]
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 0
    assert "no better than" not in capsys.readouterr().err
