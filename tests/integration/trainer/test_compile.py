"""Kernels compiled for the network; apart from the other trainings, because it takes minutes."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.support.labelled import CLASSES
from trainer.artifacts.checkpoint import load_checkpoint
from trainer.cli import main

from .conftest import TRAIN_OPTIONS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch about itself, while it compiles
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_compiled_kernels_learn_the_same_and_load_anywhere(
    data: Path, tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of a compiled network is a plain one."""
    train = ["train", "--data", str(data), "--out", str(tmp_path / "r"), *TRAIN_OPTIONS, "--epochs", "12"]
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert main([*train, "--compile"]) == 0
    with (tmp_path / "r" / "metrics.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    assert float(last["val_miou"]) > 0.6
    assert load_checkpoint(tmp_path / "r" / "best.ckpt").classes == CLASSES


def test_compiling_without_a_compiler_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with what to install."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    options = ["--epochs", "1", "--device", "cpu", "--compile"]
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 2
    assert "--compile needs a C++ compiler (Debian: apt install g++)" in capsys.readouterr().err
