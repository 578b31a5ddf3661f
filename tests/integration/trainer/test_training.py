"""Training runs for real: it learns, survives SIGKILL and Ctrl-C, and resumes exactly."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch.utils.data import DataLoader

from inspector.errors import EXIT_INTERRUPTED
from tests.support.labelled import CLASSES
from trainer.artifacts.checkpoint import load_checkpoint
from trainer.cli import main
from trainer.data.crops import CropBatches, CropSettings
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames
from trainer.models import build_model
from trainer.training.batches import Batch
from trainer.training.lightning_trainer import without_advice
from trainer.training.module import SegmentationModule
from trainer.training.warm_start import take_weights

from .conftest import TRAIN_OPTIONS, made

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 120.0


def _last_metrics(run: Path) -> dict[str, float]:
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    return dict(zip(header.split(","), map(float, rows[-1].split(",")), strict=True))


def test_a_run_learns_and_leaves_what_the_next_steps_need(run_folder: Path) -> None:
    """Every class is found on frames kept out; checkpoints, split, settings and metrics are there."""
    metrics = _last_metrics(run_folder)
    assert metrics["val_miou"] > 0.7  # 0.31 for all-normal on this data
    for name in CLASSES:
        assert metrics[f"val_iou/{name}"] > 0.5
    split = json.loads((run_folder / "split.json").read_text())
    assert len(split["train"]) == 24
    assert len(split["val"]) == 8
    for name in ("best.ckpt", "last.ckpt", "run.json"):
        assert (run_folder / name).is_file()


def test_a_checkpoint_loads_without_running_code_from_it(run_folder: Path) -> None:
    """torch's restricted unpickler takes it."""
    content = torch.load(run_folder / "best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["classes"] == list(CLASSES)


def _eight_epochs(data: Path, out: Path) -> list[str]:
    options = ["--epochs", "8", *TRAIN_OPTIONS, "--save-minutes", "0.0001"]
    return ["train", "--data", str(data), "--out", str(out), *options]


def _start(data: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trainer.cli", *_eight_epochs(data, out)]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)


def _wait_for_step(run: Path, process: subprocess.Popen[bytes], step: int) -> None:
    """Wait until last.ckpt has reached this step; fails if the run ends before."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "last.ckpt").exists():
            content = torch.load(run / "last.ckpt", weights_only=True)
            if content["global_step"] >= step:
                return
        time.sleep(0.02)
    pytest.fail(f"the run ended or hung: {run.with_suffix('.log').read_text()}")


def _state(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, weights_only=True)
    return {name: value for name, value in content["state_dict"].items() if name.startswith("net.")}


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Eight epochs without an interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    made(*_eight_epochs(data, out))
    return out


@pytest.mark.parametrize("stop", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stopped_run_resumes_to_the_very_same_network(
    data: Path, tmp_path: Path, uninterrupted: Path, stop: signal.Signals
) -> None:
    """Weights, average, optimiser, schedule, draws and the choice of the best: bit for bit."""
    out = tmp_path / "stopped"
    process = _start(data, out)
    _wait_for_step(out, process, 5)
    os.kill(process.pid, stop)
    process.wait(PATIENCE_S)
    assert process.returncode == (EXIT_INTERRUPTED if stop is signal.SIGINT else -signal.SIGKILL)
    stopped_at = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    assert 5 <= stopped_at < 24
    made("train", "--out", out, "--resume")
    for name in ("last.ckpt", "best.ckpt"):
        expected, actual = _state(uninterrupted / name), _state(out / name)
        assert expected.keys() == actual.keys()
        for key, value in expected.items():
            torch.testing.assert_close(actual[key], value, rtol=0, atol=0, msg=f"{name}: {key}")


def test_the_time_budget_ends_a_run_with_the_rate_run_down(data: Path, tmp_path: Path) -> None:
    """A few seconds of training, one validation, a checkpoint."""
    out = tmp_path / "timed"
    started = time.monotonic()
    assert main(["train", "--data", str(data), "--out", str(out), "--minutes", "0.05", *TRAIN_OPTIONS]) == 0
    assert time.monotonic() - started < PATIENCE_S
    content = torch.load(out / "last.ckpt", weights_only=True)
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] < 0.01 * 0.2
    assert (out / "best.ckpt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "DATA"], "holds a run: add --resume"),
        (["--resume", "--lr", "0.5"], "was started with lr 0.01, not 0.5"),
        (["--resume", "--preset", "paper"], "was started with model"),
    ],
)
def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(
    data: Path, run_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Usage errors, before anything is touched."""
    before = (run_folder / "last.ckpt").stat().st_mtime_ns
    given = [str(data) if option == "DATA" else option for option in options]
    assert main(["train", "--out", str(run_folder), *given]) == 2
    assert message in capsys.readouterr().err
    assert (run_folder / "last.ckpt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop", "400", "400"], "--crop 400 400 is larger than the frames, 72×100 px"),
        (["--epochs", "2", "--minutes", "3"], "give one of --epochs and --minutes"),
        (["--loss", "hinge"], "--loss hinge: there is ce, dice, lovasz, focal"),
        (["--preset", "cnn", "--target", "multiclass"], "--target binary"),
        (["--val", "1.5"], "--val"),
        (["--widths", "8"], "two or more widths"),
    ],
)
def test_impossible_settings_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Exit code 2 and what to change."""
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), "--device", "cpu", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_class_that_no_training_frame_shows_is_named(
    data: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run continues, because other classes can be learned; the warning is one line."""
    root = Path(shutil.copytree(data, tmp_path / "d"))
    (root / "classes.json").write_text(json.dumps([*CLASSES, "dent"]))
    assert _train_here(root, tmp_path / "r", "--epochs", "1") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings[0] == "trainer: warning: no training frame shows dent"
    assert [line for line in warnings[1:] if "no better than calling every pixel normal" not in line] == []


def test_fp16_is_refused_without_a_gpu(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read; bf16 is named instead."""
    options = ["--device", "cpu", "--precision", "fp16", "--epochs", "1"]
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 2
    error = capsys.readouterr().err
    assert "--precision fp16 needs a GPU: on a CPU train with bf16" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`")
def test_gradients_are_cut_to_length_after_their_scale_is_taken_off(one_thread: None) -> None:
    """With fp16's scaling, here on the CPU, the step equals that of fp32; clipped while scaled it would vanish."""
    gradients = {}
    for precision in ("fp32", "fp16"):
        torch.manual_seed(1)
        module = SegmentationModule(
            {"architecture": "unet", "widths": [4, 8]}, ["normal", "pit"], "ce", 0.1, 0.0, 1, {}, relight=False
        )
        random = torch.Generator().manual_seed(2)
        frames = torch.randint(0, 255, (2, 32, 32), generator=random, dtype=torch.uint8)
        stream = [Batch(frames, (frames > 128).to(torch.uint8))]
        plugins = [MixedPrecision("16-mixed", "cpu")] if precision == "fp16" else []
        trainer = Trainer(
            accelerator="cpu", max_steps=1, plugins=plugins, logger=False, enable_checkpointing=False,  # type: ignore[arg-type]
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        with without_advice():
            trainer.fit(module, DataLoader(stream, batch_size=None))  # type: ignore[arg-type]
        parts = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
        gradients[precision] = torch.cat(parts)
    assert gradients["fp32"].norm() > 0.1
    assert (gradients["fp16"] - gradients["fp32"]).norm() < 0.1 * gradients["fp32"].norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_fp16_learns_on_a_gpu(data: Path, tmp_path: Path) -> None:
    """As well as the other precisions do."""
    options = [*TRAIN_OPTIONS, "--device", "gpu", "--precision", "fp16", "--epochs", "20"]
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 0
    assert _last_metrics(tmp_path / "r")["val_miou"] > 0.7


def _train_here(data: Path, out: Path, *options: str) -> int:
    return main(["train", "--data", str(data), "--out", str(out), *TRAIN_OPTIONS, *options])


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "binary"),
        pytest.param(("--target", "binary", "--class-weighting", "0.25"), marks=pytest.mark.slow),
    ],
)
def test_a_binary_network_learns_defect_from_normal(
    data: Path, tmp_path: Path, one_thread: None, options: tuple[str, ...]
) -> None:
    """Every kind counts as the one class it knows."""
    assert _train_here(data, tmp_path / "r", "--epochs", "16", *options) == 0
    metrics = _last_metrics(tmp_path / "r")
    assert set(metrics) == {"step", "minutes", "loss", "val_miou", "val_iou/normal", "val_iou/defect"}
    assert metrics["val_iou/defect"] > 0.5
    content = torch.load(tmp_path / "r" / "best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["classes"] == ["normal", "defect"]


def test_the_cnn_learns_which_frames_are_defective(data: Path, tmp_path: Path, one_thread: None) -> None:
    """Its figures count frames: it is right about nearly all held-out frames."""
    options = ["--preset", "cnn", "--widths", "8,16,32", "--batch", "8", "--lr", "0.01", "--ema", "0.9"]
    options += ["--val", "0.25", "--epochs", "16", "--device", "cpu", "--precision", "fp32", "--balanced", "0"]
    assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 0
    content = torch.load(tmp_path / "r" / "best.ckpt", weights_only=True)
    best = next(state for name, state in content["callbacks"].items() if name.startswith("ModelCheckpoint"))
    assert best["best_model_score"] >= 0.75  # 0.375 for a net that calls every frame defective


def test_training_stops_when_nothing_gets_better(data: Path, tmp_path: Path, one_thread: None) -> None:
    """At a tiny learning rate nothing improves, and the run ends two validations later."""
    options = ["--epochs", "50", "--patience", "2", "--ema", "0", "--lr", "1e-12"]
    assert _train_here(data, tmp_path / "r", *options) == 0
    rows = (tmp_path / "r" / "metrics.csv").read_text().splitlines()[1:]
    assert 3 <= len(rows) < 10
    assert (tmp_path / "r" / "best.ckpt").exists()


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_its_frames(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    """A huge learning rate makes the loss infinite; the error names the frames of that step, exit 1."""
    assert _train_here(data, tmp_path / "r", "--epochs", "4", "--lr", "1e30", "--schedule", "constant") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    step = int(error.split(" at step ")[1].split()[0])
    named = set(error.split("on crops of ")[1].split(": look at")[0].split(", "))
    split = json.loads((tmp_path / "r" / "split.json").read_text())
    assert step >= 1
    assert 1 <= len(named) <= 8
    assert named <= set(split["train"])
    loaded = load_frames(open_dataset(data), split["train"])
    crops = CropBatches(loaded, np.arange(24), CropSettings(8, 72, 100, 0.5, 1))
    assert named == set(crops.names_at(step))


PLENTY_MIB = 1 << 16

SHORT_OF_MEMORY = """
import resource, sys
import lightning, numpy, torch, torchmetrics, torch.utils.tensorboard, trainer.training.run
from trainer.cli import main
torch.set_num_threads(1)
torch.nn.functional.conv2d(torch.zeros(1, 8, 64, 64), torch.zeros(8, 8, 3, 3))
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""
"""Trains with so many MiB of address space left."""


@pytest.mark.slow
def test_out_of_memory_is_answered_by_fewer_crops_at_once(data: Path, tmp_path: Path) -> None:
    """A step too large for the memory is split into parts and gives the same weights."""
    options = ["--data", str(data), "--epochs", "1", "--widths", "32,64", "--norm", "group", "--loss", "ce"]
    options += ["--batch", "24", "--val", "0.25", "--threads", "1", "--precision", "fp32", "--device", "cpu"]

    def train(mebibytes: int) -> tuple[bool, bool]:
        """Whether the training ended well, and whether it was short of memory."""
        command = [sys.executable, "-c", SHORT_OF_MEMORY, str(mebibytes), "train", *options]
        command += ["--out", str(tmp_path / str(mebibytes)), "--stem-stride", "1"]
        # Each thread's own heap would take 64 MiB of the address space.
        env = {**os.environ, "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        return done.returncode == 0, "out of memory: going on with" in done.stderr

    assert train(PLENTY_MIB) == (True, False)
    # What a crop needs differs from machine to machine: look for memory that holds one, but not 24.
    low, high = 100, 900
    while True:
        mebibytes = (low + high) // 2
        assert high - low > 10, "no size holds one crop but not all"
        well, short_of_it = train(mebibytes)
        if well and short_of_it:
            break
        low, high = (low, mebibytes) if well else (mebibytes, high)
    plenty, short = (_state(tmp_path / str(each) / "last.ckpt") for each in (PLENTY_MIB, mebibytes))
    for key, value in plenty.items():
        torch.testing.assert_close(short[key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.slow
def test_a_crop_too_large_for_the_memory_is_one_line(data: Path, tmp_path: Path) -> None:
    """If not even one crop fits, the run ends with one line and exit 1."""
    options = ["--data", str(data), "--out", str(tmp_path / "r"), "--epochs", "1", "--widths", "1024,2048"]
    options += ["--stem-stride", "1", "--batch", "2", "--threads", "1", "--precision", "fp32", "--device", "cpu"]
    command = [sys.executable, "-c", SHORT_OF_MEMORY, "700", "train", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1, done.stderr
    assert "trainer train: error: out of memory" in done.stderr.splitlines()[-1]


def test_a_run_that_only_spoils_its_start_says_so(
    model_folder: Path, data: Path, tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best checkpoint of a short run may be far worse than the network it began with."""
    start = ("--init", str(model_folder), "--epochs", "1")
    assert _train_here(data, tmp_path / "bad", *start, "--lr", "1") == 0
    assert "no better than --init: its mIoU on these validation frames is 0." in capsys.readouterr().err


def test_a_run_may_start_from_an_exported_model(
    run_folder: Path, model_folder: Path, data: Path, tmp_path: Path, one_thread: None
) -> None:
    """Folded norms are restored: before the first step it answers like the checkpoint, and it can learn."""
    content = torch.load(run_folder / "best.ckpt", weights_only=True)["hyper_parameters"]
    loaded = load_frames(open_dataset(data), open_dataset(data).names)
    net = build_model(content["model"], len(CLASSES))
    crops = CropBatches(loaded, np.arange(24), CropSettings(8, 72, 100, 0.5, 1))
    take_weights(net, model_folder, crops, list(CLASSES))
    grey = torch.from_numpy(loaded.frames[24:]).unsqueeze(1).float()
    with torch.inference_mode():
        expected = load_checkpoint(run_folder / "best.ckpt").net(grey).softmax(dim=1)
        assert (net.eval()(grey).softmax(dim=1) - expected).abs().max() < 0.01
    rate = ("--epochs", "1", "--lr", "0.0001")
    assert _train_here(data, tmp_path / "r", "--init", str(model_folder), *rate) == 0
    assert _last_metrics(tmp_path / "r")["val_miou"] > 0.7


def test_a_run_cannot_start_from_another_network(
    run_folder: Path, model_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither from a checkpoint nor from a model folder; one line, exit code 2."""
    for start in (run_folder / "best.ckpt", model_folder):
        options = ["--epochs", "1", *TRAIN_OPTIONS, "--widths", "8,16,16", "--init", str(start)]
        assert main(["train", "--data", str(data), "--out", str(tmp_path / "r"), *options]) == 2
        error = capsys.readouterr().err
        assert f"--init {start}: another network" in error
        assert len(error.strip().splitlines()) == 1


def test_a_run_starts_from_another_run_and_not_from_an_engine(
    run_folder: Path, engine_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run stands for its best checkpoint; an engine's weights are compiled, and the line says what to name."""
    rate = ("--epochs", "1", "--lr", "0.0001")
    assert _train_here(data, tmp_path / "r", "--init", str(run_folder), *rate) == 0
    assert _last_metrics(tmp_path / "r")["val_miou"] > 0.7
    capsys.readouterr()
    assert _train_here(data, tmp_path / "e", "--init", str(engine_folder), *rate) == 2
    error = capsys.readouterr().err
    assert "an engine's weights are compiled: name the run, or the model folder" in error
    assert len(error.strip().splitlines()) == 1
