"""`trainer evaluate` on everything it takes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from trainer.cli import main

from .conftest import write_label_maps, write_severstal

EVALUATION_SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "evaluation.schema.json"
REQUIRED = {
    *("frames", "miou", "iou", "defect_iou", "dice", "kaggle_dice"),
    *("escape", "overkill", "thresholds", "all_normal"),
}
"""Of the schema, for a clone without it."""


def _evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


def test_checkpoint_model_and_engine_are_measured_alike(
    run_folder: Path, model_folder: Path, engine_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object each, as the schema says; model and engine agree, and all beat calling everything normal."""
    split = run_folder / "split.json"
    results = [
        _evaluate(capsys, what, "--data", data, "--split", split, "--part", "val")
        for what in (run_folder / "best.ckpt", model_folder, engine_folder)
    ]
    for figures in results:
        assert set(figures) >= REQUIRED
        if EVALUATION_SCHEMA.exists():
            jsonschema.validate(figures, json.loads(EVALUATION_SCHEMA.read_text()))
        assert figures["frames"] == 8
        assert figures["miou"] > figures["all_normal"]["miou"] + 0.2
        assert figures["all_normal"]["escape"] == 1.0
        assert figures["all_normal"]["overkill"] == 0.0
    assert results[1]["miou"] == pytest.approx(results[2]["miou"], abs=0.002)
    assert results[1]["thresholds"] == results[2]["thresholds"]
    assert results[0]["thresholds"] == {"pit": 0.5, "streak": 0.5}


def test_without_a_split_every_frame_counts(
    engine_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the table for people says the same."""
    figures = _evaluate(capsys, engine_folder, "--data", data)
    assert figures["frames"] == 32
    assert main(["evaluate", str(engine_folder), "--data", str(data)]) == 0
    table = capsys.readouterr().out
    assert f"{figures['miou']:.4f}" in table
    assert "all normal" in table


def test_what_does_not_fit_is_one_line(
    engine_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other classes, an empty part, something that is no model."""
    five_classes = write_severstal(tmp_path / "s", old_spelling=False)
    split = tmp_path / "split.json"
    split.write_text('{"train": ["000"]}')
    for arguments, message in (
        ((engine_folder, "--data", five_classes), "knows 3 classes (normal, pit, streak) but"),
        ((engine_folder, "--data", data, "--split", split), "the part test is empty"),
        ((tmp_path, "--data", data), "neither a checkpoint nor a model folder"),
    ):
        assert main(["evaluate", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 1


def test_frames_of_another_size_are_refused(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine's size and the way out are named."""
    import cv2
    import numpy as np

    root = write_label_maps(tmp_path / "d", frames=1)
    for folder in ("images", "masks"):
        cv2.imwrite(str(root / folder / "000.png"), np.zeros((40, 40), np.uint8))
    assert main(["evaluate", str(engine_folder), "--data", str(root)]) == 2
    assert "frame is 40×40 px but" in capsys.readouterr().err
