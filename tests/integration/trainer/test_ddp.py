"""Several processes train as one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .conftest import TRAIN_OPTIONS, made

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 300.0
TORCHRUN = (
    *("-m", "torch.distributed.run", "--nproc-per-node", "2"),
    *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
)
"""On addresses, not on this PC's name, which need not resolve."""


def _options(data: Path, out: Path) -> list[str]:
    """Two epochs of a net without batch statistics, which CPU processes cannot share."""
    return ["train", "--data", str(data), "--out", str(out), "--epochs", "2", *TRAIN_OPTIONS, "--norm", "group"]


def _weights(out: Path) -> dict[str, torch.Tensor]:
    content = torch.load(out / "last.ckpt", weights_only=True)
    assert content["global_step"] == 6
    return {name: value for name, value in content["state_dict"].items() if name.startswith("net.")}


def test_two_processes_give_the_single_process_result(data: Path, tmp_path: Path, one_thread: None) -> None:
    """Cross-entropy and Dice over the crops of both, the same draws, the same figures; gloo on the CPU."""
    made(*_options(data, tmp_path / "one"))
    command = [sys.executable, *TORCHRUN, "-m", "trainer.cli", *_options(data, tmp_path / "two")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best checkpoint") == 1
    alone, together = _weights(tmp_path / "one"), _weights(tmp_path / "two")
    moved = 0.0
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=1e-4, msg=name)
        moved = max(moved, float(value.abs().max()))
    assert moved > 0.1
    tables = [(tmp_path / run / "metrics.csv").read_text().splitlines() for run in ("one", "two")]
    assert len(tables[0]) == len(tables[1]) == 3
    for one, two in zip(*(map(float, table[-1].split(",")[3:]) for table in tables), strict=True):
        assert abs(one - two) < 1e-3


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path) -> None:
    """One line from each process, exit 2 of the run, before anything is trained."""
    out = tmp_path / "odd"
    command = [
        *(sys.executable, *TORCHRUN),
        *("-m", "trainer.cli", "train", "--data", str(data), "--out", str(out), *TRAIN_OPTIONS, "--batch", "7"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode != 0
    assert "--batch 7 cannot be shared evenly by 2 processes" in done.stderr
    assert not (out / "last.ckpt").exists()
