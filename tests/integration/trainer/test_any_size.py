"""Frames of many sizes, and tiny ones, go from labels to an engine; odd networks and Latin-1 names too."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.labelled import write_label_maps
from trainer.cli import main

from .conftest import TRAIN_OPTIONS, made


def _evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    capsys.readouterr()
    made("evaluate", *arguments, "--json")
    figures: dict[str, object] = json.loads(capsys.readouterr().out)
    return figures


@pytest.mark.parametrize("policy", ["tile", "resize"])
def test_frames_of_many_sizes_become_an_engine(
    tmp_path: Path, one_thread: None, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are trained on, reported, exported, built into an engine and measured."""
    root = write_label_maps(tmp_path / "d", frames=12)
    for index, path in enumerate(sorted((root / "images").iterdir())):
        for folder in ("images", "masks"):
            picture = cv2.imread(str(root / folder / path.name), cv2.IMREAD_UNCHANGED)
            assert picture is not None
            larger = cv2.copyMakeBorder(picture, 0, 5 * index, 0, 3 * index, cv2.BORDER_REFLECT)
            cv2.imwrite(str(root / folder / path.name), larger)
    run, model, engine = tmp_path / "run", tmp_path / "model", tmp_path / "engine"
    fit = [] if policy == "tile" else ["--fit", "resize"]
    made("train", "--data", root, "--out", run, *TRAIN_OPTIONS, "--epochs", "1", *fit)
    said = capsys.readouterr().err
    assert f"(--fit {policy} --frame 128 144)" in said
    assert said.index("--crop 128 144") < said.index("epoch 1.0")
    made("export", run / "best.ckpt", "--out", model)
    made("build-engine", model, "--out", engine, "--precision", "fp32")
    counts = [_evaluated(capsys, what, "--data", root)["frames"] for what in (run / "best.ckpt", model)]
    assert counts[0] == counts[1]
    assert main(["evaluate", str(engine), "--data", str(root)]) == 2
    assert "--fit tile or --fit resize" in capsys.readouterr().err
    assert _evaluated(capsys, engine, "--data", root, "--fit", policy)["frames"] == counts[0]
    made("train", "--out", run, "--resume")


@pytest.mark.parametrize("side", [8, 16])
def test_tiny_frames_become_an_engine(tmp_path: Path, one_thread: None, side: int) -> None:
    """With the preset's own strides, which are larger than the frame."""
    root = tmp_path / "d"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    random = np.random.default_rng(1)
    for index in range(16):
        label = np.zeros((side, side), np.uint8)
        label[2:6, 2:6] = index % 2
        frame = random.integers(100, 140, (side, side)).astype(np.uint8) + 90 * label
        cv2.imwrite(str(root / "images" / f"{index}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), label)
    run, model = tmp_path / "run", tmp_path / "model"
    made(
        "train",
        "--data",
        root,
        "--out",
        run,
        "--preset",
        "fast",
        "--epochs",
        "1",
        "--batch",
        "4",
        "--threads",
        "1",
    )
    made("export", run / "best.ckpt", "--out", model)
    made("build-engine", model, "--out", tmp_path / "engine", "--precision", "fp32")
    torch_options = ("--backend", "torch", "--device", "cpu", "--precision", "fp32")
    made("build-engine", model, "--out", tmp_path / "torch", *torch_options)


def test_narrow_networks_take_every_norm(data: Path, tmp_path: Path, one_thread: None) -> None:
    """Four channels make four groups."""
    options = [*TRAIN_OPTIONS, "--widths", "4,6,8", "--norm", "group", "--epochs", "1"]
    made("train", "--data", data, "--out", tmp_path / "r", *options)


def test_latin_1_names_go_all_the_way(
    tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that are not UTF-8 are read, split, trained on and reported without a traceback."""
    root = write_label_maps(tmp_path / "d", frames=12)
    for folder in ("images", "masks"):
        (root / folder / "003.png").rename(root / folder / os.fsdecode(b"fl\xe4che.png"))
        (root / folder / "004.png").rename(root / folder / os.fsdecode(b"gr\xfcn.png"))
    made("check-data", root, "--json", "--html", tmp_path / "page.html")
    split = tmp_path / "s.json"
    made("split", root, "--out", split, "--val", "0.3")
    run = tmp_path / "run"
    made("train", "--data", root, "--split", split, "--out", run, *TRAIN_OPTIONS, "--epochs", "1")
    made("train", "--out", run, "--resume")
    made("export", run / "best.ckpt", "--out", tmp_path / "model")
    made("evaluate", tmp_path / "model", "--data", root, "--report", tmp_path / "report.html")
    (root / "images" / os.fsdecode(b"gr\xfcn.png")).unlink()
    assert main(["check-data", str(root)]) == 1
    assert "gr\\udcfcn.png: no image gr\\udcfcn.*" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--height", "-200"], "--height must be at least 8, got -200"),
        (["--width", "0"], "--width must be at least 8, got 0"),
        (["--frame-escape", "nan"], "--frame-escape must be a share from 0 to below 1, got nan"),
        (["--false-rejects", "1.5"], "--false-rejects must be a share from 0 to below 1, got 1.5"),
        (["--escape-cost", "nan"], "--escape-cost must be a number above 0, got nan"),
        (["--overkill-cost", "inf"], "--overkill-cost must be a number above 0, got inf"),
        (["--escape-cost", "-1"], "--escape-cost must be a number above 0, got -1"),
    ],
)
def test_impossible_numbers_are_one_line(
    run_folder: Path, tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no folder."""
    out = tmp_path / "m"
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), *options]) == 2
    assert capsys.readouterr().err.strip() == f"trainer export: error: {says}"
    assert not out.exists()
