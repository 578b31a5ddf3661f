"""`trainer sweep`: settings that are tried, remembered, and gone on with after a kill."""

import fcntl
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


def _sweep(data: Path, out: Path, trials: int, *search: str, train: tuple[str, ...] = ()) -> int:
    searches = [word for each in search for word in ("--search", each)]
    given = ["sweep", "--data", str(data), "--out", str(out), "--trials", str(trials), *searches]
    return main([*given, "--", "--epochs", "1", *TRAIN_OPTIONS, *train])


def _chosen(out: Path) -> list[tuple[str, dict[str, object]]]:
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{out / 'sweep.sqlite'}")
    return [(trial.state.name, trial.params) for trial in study.trials]


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("preset=nope,fast", "no nope; there is balanced"),
        ("epcohs=1:3", "has no option --epcohs"),
        ("crop=64,128", "no option --crop that takes one value"),
        ("batch=2,three", "does not take three"),
        ("batch=2.5:8", "takes whole numbers"),
        ("lr=0.1:inf", "OPTION=LOW:HIGH"),
    ],
)
def test_a_search_that_train_does_not_take_is_refused_before_a_run(
    search: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; the folder is not even made."""
    assert _sweep(tmp_path, tmp_path / "o", 1, search) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert says in said
    assert not (tmp_path / "o").exists()


def test_a_corrected_command_runs_the_corrected_search(
    data: Path, tmp_path: Path, one_thread: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `trainer train` refuses is not tried again; whole numbers stay whole; another range is one line."""
    out = tmp_path / "sweep"
    assert _sweep(data, out, 1, "batch=-2:-1") == 2
    assert "refuses these options" in capfd.readouterr().err
    assert _sweep(data, out, 1, "batch=2:3") == 0
    ((state, chosen),) = _chosen(out)
    assert state == "COMPLETE"
    assert chosen["batch"] in {2, 3}
    assert isinstance(chosen["batch"], int)
    capfd.readouterr()
    for search in ("batch=2:4", "batch=2,3", "lr=0.1:0.2"):
        assert _sweep(data, out, 2, search) == 2
        (said,) = capfd.readouterr().err.splitlines()
        assert "searched other options or ranges: give the same, or another --out" in said
    assert len(_chosen(out)) == 1


def test_a_folder_has_one_sweep_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second one does not train the first one's trial."""
    lock = os.open(tmp_path / ".sweep.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert _sweep(tmp_path, tmp_path, 1, "lr=0.1:0.2") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "another sweep uses it" in said
    os.close(lock)


@pytest.mark.parametrize("what", ["store", "folder"])
def test_a_store_that_cannot_be_used_is_one_line(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback of the database: a damaged store, a file in the folder's place."""
    if what == "store":
        (tmp_path / "sweep.sqlite").write_bytes(b"no database" * 100)
    else:
        (tmp_path / "file").touch()
    assert _sweep(tmp_path, tmp_path if what == "store" else tmp_path / "file", 1, "lr=0.1:0.2") == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "the sweep cannot be kept there" in said
