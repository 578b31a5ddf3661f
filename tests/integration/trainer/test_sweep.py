"""`trainer sweep`: settings that are tried, remembered, and gone on with after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest

from trainer.cli import main

from .conftest import TRAIN_OPTIONS

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 600.0


def _command(data: Path, out: Path, trials: int) -> list[str]:
    given = ("sweep", "--data", str(data), "--out", str(out), "--trials", str(trials))
    return [*given, "--search", "lr=0.001:0.05", "--search", "loss=ce,dice", "--", "--epochs", "1", *TRAIN_OPTIONS]


def test_a_killed_sweep_goes_on_with_its_run(data: Path, tmp_path: Path, one_thread: None) -> None:
    """Both trials end with a figure, in two folders; a finished sweep trains nothing again."""
    out = tmp_path / "sweep"
    process = subprocess.Popen([sys.executable, "-m", "trainer.cli", *_command(data, out, 2)], cwd=ROOT)
    until = time.monotonic() + PATIENCE_S
    while not (out / "trial-0000" / "run.json").exists() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        os.kill(member.pid, signal.SIGKILL)
    process.wait()
    assert main(_command(data, out, 2)) == 0
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{out / 'sweep.sqlite'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert all(0 <= trial.values[0] <= 1 and 0.001 <= trial.params["lr"] <= 0.05 for trial in study.trials)
    changed = [(out / f"trial-000{n}" / "metrics.csv").stat().st_mtime_ns for n in (0, 1)]
    assert main(_command(data, out, 2)) == 0
    assert [(out / f"trial-000{n}" / "metrics.csv").stat().st_mtime_ns for n in (0, 1)] == changed


@pytest.mark.parametrize("search", ["lr", "lr=", "lr=2:1", "lr=a:b", "=1:2"])
def test_a_search_that_says_nothing_is_refused(
    search: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with what to give."""
    assert main(["sweep", "--data", str(tmp_path), "--out", str(tmp_path / "o"), "--search", search]) == 2
    assert "OPTION=LOW:HIGH" in capsys.readouterr().err
