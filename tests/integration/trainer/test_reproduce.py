"""The paper's comparison: its figures by hand, and its whole path on a small data set."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.support.labelled import make_labelled, write_label_maps
from trainer.cli import main
from trainer.reproduce.answers import BY_CLASS, count_test_frames
from trainer.reproduce.frames import cnn_tile, load_comparison
from trainer.reproduce.intervals import deviation, t_interval
from trainer.reproduce.protocol import Protocol
from trainer.reproduce.readings import READINGS, all_defect, all_normal, count_frame

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 300.0

COUNTS = np.array(
    [
        [90, 0, 0, 10],  # a defect found exactly
        [100, 0, 0, 0],  # empty on empty
        [80, 10, 5, 5],  # half found, and more called one
        [98, 2, 0, 0],  # found on a normal frame
        [95, 0, 5, 0],  # missed altogether
    ]
)

BY_HAND = {
    "pooled_miou": ((463 / 485) + (15 / 37)) / 2,
    "pooled_defect_iou": 15 / 37,
    "frame_miou": (1 + 1 + (80 / 95 + 5 / 20) / 2 + (0.98 + 0) / 2 + (0.95 + 0) / 2) / 5,
    "frame_defect_iou": (1 + 1 + 5 / 20 + 0 + 0) / 5,
    "defective_frame_iou": (1 + 5 / 20 + 0) / 3,
    "frame_dice": (1 + 1 + 10 / 25 + 0 + 0) / 5,
    "pixel_accuracy": 478 / 500,
    "frame_accuracy": 3 / 5,
    "frames_miou": (1 / 3 + 2 / 4) / 2,
}


@pytest.mark.parametrize("key", READINGS)
def test_a_reading_is_what_one_gets_by_hand(key: str) -> None:
    """Five frames: exact, empty, half, false alarm, missed."""
    assert READINGS[key].of(COUNTS) == pytest.approx(BY_HAND[key])


def test_the_baselines_answer_the_same_frames() -> None:
    """All-normal is right about every normal pixel, all-defect about every defect; the truth is unchanged."""
    normal, defect = all_normal(COUNTS), all_defect(COUNTS)
    assert (normal[:, [1, 3]] == 0).all()
    assert (defect[:, [0, 2]] == 0).all()
    for answer in (normal, defect):
        assert (answer[:, 2:].sum(1) == COUNTS[:, 2:].sum(1)).all()
        assert (answer.sum(1) == 100).all()
    assert READINGS["frame_defect_iou"].of(normal) == pytest.approx(2 / 5)
    assert READINGS["defective_frame_iou"].of(defect) == pytest.approx(20 / 300 + 5 / 300)


def test_a_frame_is_counted_by_truth_and_answer() -> None:
    """Rows of FrameCounts."""
    truth = np.array([[0, 0, 0], [1, 1, 1]], np.bool_)
    answer = np.array([[0, 1, 0], [1, 1, 0]], np.bool_)
    assert count_frame(truth, answer).tolist() == [2, 1, 1, 2]


def test_the_interval_is_students() -> None:
    """For 1, 2, 3: mean 2, deviation 1, half-width 4.303/√3; a single value has no interval."""
    assert deviation([1.0, 2.0, 3.0]) == pytest.approx(1.0)
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    assert t_interval([1.0]) is None


def _command(data: Path, out: Path, *options: str) -> list[str]:
    options = ("--quick", "--threads", "1", "--device", "cpu", "--batch", "8", *options)
    return [sys.executable, "-m", "trainer.cli", "reproduce", "--data", str(data), "--out", str(out), *options]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick comparison without an interruption."""
    out = tmp_path_factory.mktemp("paper") / "whole"
    done = subprocess.run(_command(data, out), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (out / "table.txt").read_text()
    assert "[6/6] multi-class U-Net, seed 2, is trained" in done.stderr
    return out


def _content(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "table.json").read_text())
    return content


def test_the_table_holds_every_model_under_every_reading(finished: Path) -> None:
    """Beside the paper's figures and the all-normal answer, with difference and interval, U-Net and budget."""
    content = _content(finished)
    assert content["paper"] == {"cnn": 0.759, "binary": 0.913, "multiclass": 0.941}
    assert set(content["readings"]) == set(READINGS)
    for figures in content["readings"].values():
        models = [figures[key]["by_seed"] for key in ("cnn", "binary", "multiclass")]
        assert [len(values) for values in models] == [2, 2, 2]
        difference = figures["difference"]
        expected = [more - less for more, less in zip(models[2], models[1], strict=True)]
        assert difference["by_seed"] == pytest.approx(expected)
        assert difference["interval_95"][0] <= difference["mean"] <= difference["interval_95"][1]
        assert 0.0 <= figures["all_normal"] <= 1.0
    assert content["data"]["test_frames_defective"] < content["data"]["test_frames"]
    assert content["models"]["cnn"]["decides_on"] == "whole frames"
    for name in ("table.txt", "table.md"):
        table = (finished / name).read_text()
        for word in ("75.9", "91.3", "94.1", "+2.80", "fast", "quick", *(r.title for r in READINGS.values())):
            assert word in table
    assert (finished / "table.md").read_text().splitlines()[1].startswith("|---|---:|")


@pytest.mark.slow
def test_a_comparison_that_was_killed_goes_on_and_ends_alike(data: Path, tmp_path: Path, finished: Path) -> None:
    """Finished runs stay untouched, and the figures equal those without a kill."""
    out = tmp_path / "killed"
    first = out / "runs" / "cnn-seed1" / "test_counts.npz"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(_command(data, out), cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not first.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert first.exists()
    assert not (out / "table.json").exists()
    written = first.stat().st_mtime_ns
    done = subprocess.run(_command(data, out), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "[1/6] vanilla CNN, seed 1, is there" in done.stderr
    assert first.stat().st_mtime_ns == written
    assert _content(out)["readings"] == _content(finished)["readings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quick", "--epochs", "5", "--batch", "8"], "holds a comparison with epochs 2, not 5"),
        (["--batch", "8", "--epochs", "2", "--seeds", "2"], "holds a comparison with quick True, not False"),
        (["--seeds", "0"], "--seeds: Input should be greater than or equal to 1"),
    ],
)
def test_another_protocol_is_not_mixed_in(
    data: Path, finished: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """One line, exit code 2, and the table stays."""
    before = (finished / "table.json").read_bytes()
    arguments = ["reproduce", "--data", str(data), "--out", str(finished), "--device", "cpu", *options]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert (finished / "table.json").read_bytes() == before


def test_a_split_without_test_part_is_measured_on_its_validation(data: Path, tmp_path: Path) -> None:
    """Nothing is chosen on it; new validation frames are taken from training, and no frame is in two parts."""
    names = [f"{index:03}" for index in range(32)]
    path = tmp_path / "given.json"
    path.write_text(json.dumps({"train": names[:24], "val": names[24:]}))
    protocol = Protocol(data=data, split=path, unet="fast", seeds=1, epochs=1)
    comparison = load_comparison(protocol, tmp_path)
    assert sorted(comparison.split["test"]) == [f"{name}.png" for name in names[24:]]
    assert len(comparison.split["val"]) == 1
    assert sorted(name for part in comparison.split.values() for name in part) == [f"{name}.png" for name in names]


class _DarkIsDefect(torch.nn.Module):
    """A network that decides by its input: defect if any pixel is black."""

    map_stride = 1

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        """[N, 1, h, w] → [N, 2, h, w], constant."""
        dark = (grey.amin(dim=(1, 2, 3)) < 1).float() * 20 - 10
        return torch.stack((-dark, dark), 1)[:, :, None, None].expand(-1, -1, *grey.shape[2:])


def test_where_every_frame_is_defective_the_cnn_decides_on_tiles(tmp_path: Path) -> None:
    """Tiles cover the frame to its edge, and a decision fills its own tile only."""
    root = write_label_maps(tmp_path / "d", frames=0)
    for index in range(6):
        frame, label = make_labelled(1)
        frame[:], label[:] = 120, 0
        frame[70:, 98:], label[70:, 98:] = 0, 1
        cv2.imwrite(str(root / "images" / f"{index}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), label)
    split = tmp_path / "given.json"
    split.write_text(json.dumps({"train": ["0", "1", "2", "3"], "val": ["4"], "test": ["5"]}))
    data = load_comparison(Protocol(data=root, split=split, unet="fast", seeds=1, epochs=1), tmp_path)
    tile = cnn_tile(data)
    assert tile == (32, 32)

    counts = count_test_frames(_DarkIsDefect(), data, tile, "cpu")[BY_CLASS]
    assert counts.tolist() == [[72 * 100 - 32 * 32, 32 * 32 - 4, 0, 4]]
