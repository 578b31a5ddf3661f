"""A network with a pretrained encoder and a frame score, from training to an engine."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.backends import open_backend
from inspector.engine import golden
from inspector.engine.manifest import open_folder
from tests.integration.trainer.conftest import made
from tests.support.lite_weights import write_weights
from tests.support.once import Once
from trainer.artifacts.card import open_model
from trainer.cli import main


@pytest.fixture(scope="module")
def model(data: Path, once: Once, one_thread: None) -> Path:
    """The export of a run of three steps that began with random weights in a file."""

    def make(out: Path) -> None:
        weights, run = write_weights(out.parent / "lite0.pth"), out.parent / "pretrained-run"
        options = ("--preset", "pretrained", "--encoder-weights", weights, "--epochs", "1", "--val", "0.25")
        made("train", "--data", data, "--out", run, *options, "--threads", "1", "--device", "cpu")
        made("export", run / "best.ckpt", "--out", out, "--frame-escape", "0.1")

    return once.folder("pretrained-model", make)


def test_the_card_names_the_weights_that_it_started_from(model: Path) -> None:
    """Name, licence and hash; and the frame threshold with what it changes."""
    card = open_model(model).card
    assert card.pretrained is not None
    assert card.pretrained["name"] == "lite0.pth"
    assert len(card.pretrained["sha256"]) == 64
    assert card.frame_threshold is not None
    assert card.figures["with_frame_score"]["threshold"] == card.frame_threshold
    text = (model / "card.md").read_text()
    assert f"frame_score = {card.frame_threshold:g}" in text
    assert card.pretrained["sha256"] in text


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_an_engine_scores_frames_as_the_model_does(
    backend: str, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Built, opened, measured; a golden frame score that differs is refused."""
    engine = tmp_path / "engine"
    more = ("--device", "cpu") if backend == "torch" else ()
    made("build-engine", model, "--backend", backend, "--precision", "fp32", *more, "--out", engine)
    folder = open_folder(engine)
    assert folder.manifest.frame_threshold == open_model(model).card.frame_threshold
    expected = golden.load(model / "golden.npz")
    assert expected.frame is not None
    with open_backend(folder) as opened:
        _, _, frame = opened.answer_all(expected.frames)
        assert frame is not None
        assert np.abs(frame.astype(int) - expected.frame).max() <= 1
        assert (frame > 0).all()
    capsys.readouterr()
    assert main(["evaluate", str(engine), "--data", str(data), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["with_frame_score"]["escapes"] >= figures["escapes"]
    assert figures["with_frame_score"]["overkills"] <= figures["overkills"]
    assert 0 <= figures["with_frame_score"]["auc"] <= 1


def test_another_run_starts_from_its_export(model: Path, data: Path, tmp_path: Path) -> None:
    """--init takes the folded encoder, too, and the card still names the first weights."""
    run = tmp_path / "run"
    options = ("--preset", "pretrained", "--init", model, "--epochs", "1", "--val", "0.25", "--threads", "1")
    made("train", "--data", data, "--out", run, *options, "--device", "cpu")
    made("export", run / "best.ckpt", "--out", tmp_path / "model")
    assert open_model(tmp_path / "model").card.pretrained == open_model(model).card.pretrained
