"""Networks that tell defect from normal only, on data that knows kinds: measured, exported, built."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.labelled import CLASSES
from trainer.artifacts.card import open_model
from trainer.build.calibration import load_calibration
from trainer.cli import main
from trainer.data.class_order import in_classes
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames

from .conftest import TRAIN_OPTIONS

CNN_OPTIONS = (
    *("--preset", "cnn", "--widths", "8,16,32", "--batch", "8", "--lr", "0.01", "--ema", "0.9", "--val", "0.25"),
    *("--device", "cpu", "--precision", "fp32", "--balanced", "0", "--threads", "1"),
)
NETWORKS = {"binary": ("--target", "binary", *TRAIN_OPTIONS), "cnn": CNN_OPTIONS}


@pytest.fixture(scope="module", params=["binary", pytest.param("cnn", marks=pytest.mark.slow)])
def checkpoint(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """A trained binary U-Net, and a trained cnn."""
    out = tmp_path_factory.mktemp("one_kind") / request.param
    options = NETWORKS[request.param]
    assert main(["train", "--data", str(data), "--out", str(out), "--epochs", "16", *options]) == 0
    return out / "best.ckpt"


def test_kinds_are_taken_together(data: Path) -> None:
    """Labels and presence are those of defect or normal; digests are still the data's own."""
    dataset = open_dataset(data)
    loaded = load_frames(dataset, dataset.names)
    assert in_classes(CLASSES, CLASSES, loaded) is loaded
    one = in_classes(("normal", "defect"), CLASSES, loaded)
    assert ((one.labels > 0) == (loaded.labels > 0)).all()
    assert one.labels.max() == 1
    assert (one.present[:, 1] == loaded.labels.any(axis=(1, 2))).all()
    assert one.digest() == loaded.digest()


def test_they_are_measured_on_data_with_kinds(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures of defect against normal, with a warning that says so; frames seen in training are counted."""
    capsys.readouterr()
    assert main(["evaluate", str(checkpoint), "--data", str(data), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["iou"]) == {"normal", "defect"}
    assert figures["escape"] <= 0.25
    assert figures["overkill"] <= 0.25
    assert any("pit, streak all count as defect" in warning for warning in figures["warnings"])
    assert (figures["seen_in_training"]["train"], figures["seen_in_training"]["val"]) == (24, 8)
    assert figures["seen_in_training"]["told_by"] == "pixels"


def test_they_go_all_the_way_to_an_engine(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Exported with a threshold of the one class, built with calibration frames of many."""
    model, engine = tmp_path / "model", tmp_path / "engine"
    assert main(["export", str(checkpoint), "--out", str(model)]) == 0
    card = open_model(model).card
    assert card.classes == ("normal", "defect")
    assert set(card.thresholds) == {"defect"}
    judges = load_calibration(data, card).judges
    assert np.array_equal(np.unique(judges.labels), [0, 1])
    options = ["--precision", "fp32", "--calibration", str(data), "--out", str(engine)]
    assert main(["build-engine", str(model), *options]) == 0
