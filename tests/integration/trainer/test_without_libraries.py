"""Commands on a PC without the training libraries."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

WITHOUT_TRAINING_LIBRARIES = """
import sys
for name in ("torch", "lightning", "torchmetrics", "onnx", "onnxscript", "onnxruntime", "tensorboard"):
    sys.modules[name] = None
from trainer.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""An import of any of them raises ModuleNotFoundError, as if the extra were not installed."""


def _run_bare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TRAINING_LIBRARIES, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120)


def test_the_demo_needs_no_training_library(model_folder: Path, data: Path, tmp_path: Path) -> None:
    """simulate, build-engine and evaluating an engine run with only the line installed."""
    for arguments in (
        ("simulate", "--out", tmp_path / "s", "--frames", 2, "--height", 64, "--width", 128),
        ("build-engine", model_folder, "--out", tmp_path / "e"),
        ("evaluate", tmp_path / "e", "--data", data, "--json"),
    ):
        done = _run_bare(*arguments)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "s" / "train.csv").exists()
    assert (tmp_path / "e" / "manifest.json").exists()


def test_a_missing_extra_is_named_with_its_install_command(
    run_folder: Path, model_folder: Path, data: Path, tmp_path: Path
) -> None:
    """One line, exit 2, nothing left behind."""
    for arguments in (
        ("train", "--data", data, "--out", tmp_path / "r"),
        ("export", run_folder / "best.ckpt", "--out", tmp_path / "m"),
        ("evaluate", model_folder, "--data", data),
    ):
        done = _run_bare(*arguments)
        assert done.returncode == 2
        assert "pip install 'strip-inspector[train]'" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
