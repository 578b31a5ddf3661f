"""A data set with the classes in another order is measured, and continued from, by their names."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.cli import main

from .conftest import TRAIN_OPTIONS


@pytest.fixture(scope="module")
def swapped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labelled frames with class 1 and class 2 exchanged, in numbers and in names."""
    root = tmp_path_factory.mktemp("swapped") / "d"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for path in (data / "images").iterdir():
        (root / "images" / path.name).write_bytes(path.read_bytes())
        label = cv2.imread(str(data / "masks" / path.name), cv2.IMREAD_UNCHANGED)
        assert label is not None
        cv2.imwrite(str(root / "masks" / path.name), np.array([0, 2, 1], np.uint8)[label])
    (root / "classes.json").write_text('["normal", "streak", "pit"]')
    return root


def test_the_order_does_not_change_the_figures(
    run_folder: Path, engine_folder: Path, data: Path, swapped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures of a checkpoint and an engine do not change; a note states the order."""
    for what in (run_folder / "best.ckpt", engine_folder):
        figures = []
        for root in (data, swapped):
            capsys.readouterr()
            assert main(["evaluate", str(what), "--data", str(root), "--json"]) == 0
            shown = capsys.readouterr()
            figures.append(json.loads(shown.out))
        assert "classes are matched by name" in shown.err
        assert figures[0]["iou"] == figures[1]["iou"]
        assert figures[0]["frame_recall"] == figures[1]["frame_recall"]


@pytest.mark.parametrize("start", ["checkpoint", "model"])
def test_a_run_starts_from_the_answers_of_the_same_name(
    run_folder: Path, model_folder: Path, swapped: Path, tmp_path: Path, one_thread: None, start: str
) -> None:
    """At a learning rate of nearly zero, the figures equal those of the initial network."""
    out = tmp_path / "run"
    init = str(run_folder / "best.ckpt" if start == "checkpoint" else model_folder)
    options = [*TRAIN_OPTIONS, "--lr", "1e-9", "--epochs", "1", "--init", init]
    assert main(["train", "--data", str(swapped), "--out", str(out), *options]) == 0
    with (out / "metrics.csv").open(newline="") as file:
        figures = list(csv.DictReader(file))[-1]
    assert float(figures["val_iou/pit"]) > 0.5
    assert float(figures["val_iou/streak"]) > 0.5
