"""A first model from a plant's own frames, without labels."""

import json
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from inspector.images import read_mono
from inspector.sources.simulator import StripSettings, strip
from inspector.values import Pixels
from tests.integration.trainer.conftest import made
from tests.support.labelled import write_label_maps
from tests.support.lite_weights import write_weights
from trainer.artifacts.card import open_model
from trainer.cli import main
from trainer.commission.transplant import cut_defects
from trainer.data.formats import open_dataset

FRAMES = 24
ODD = 17
"""A frame that does not look like the others."""


def own_frames() -> list[Pixels]:
    """Sound simulated steel; one frame is chequered."""
    settings = StripSettings(seed=4, height=64, width=96, defective_share=0.0, blemishes_per_frame=0.0)
    frames = [frame.pixels for _, frame in zip(range(FRAMES), strip(settings), strict=False)]
    frames[ODD] = np.kron(np.indices((8, 12)).sum(axis=0) % 2, np.full((8, 8), 200)).astype(np.uint8)
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    for index, pixels in enumerate(own_frames()):
        assert cv2.imwrite(str(root / f"{index:03}.png"), pixels)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "lite0.pth")


def options(weights: Path) -> list[str]:
    """A training of a few steps."""
    return [
        *("--encoder-weights", str(weights), "--minutes", "0.02", "--threads", "1"),
        *("--set-aside", "0.05", "--false-rejects", "0.2"),
    ]


def test_own_frames_become_a_model_and_an_honest_report(folder: Path, weights: Path, tmp_path: Path) -> None:
    """The odd frame is set aside, held-out frames meet the budget, and a killed run continues."""
    out = tmp_path / "first"
    with patch("trainer.commission.run.train", side_effect=KeyboardInterrupt):
        assert main(["commission", str(folder), "--out", str(out), *options(weights)]) == 130
    assert main(["commission", str(folder), "--out", str(out), *options(weights)]) == 2  # needs --resume
    drawn = (out / "data" / "split.json").stat().st_mtime_ns
    made("commission", "--out", out, "--resume")
    assert (out / "data" / "split.json").stat().st_mtime_ns == drawn
    report = json.loads((out / "report.json").read_text())
    assert report["set_aside"] == [f"{ODD:03}.png"]
    assert np.array_equal(read_mono(out / "set_aside" / f"001-{ODD:03}.png"), own_frames()[ODD])
    assert report["false_rejects"] <= 0.2 * report["held_out_frames"]
    assert report["false_reject_interval"][0] <= report["false_reject_share"] <= report["false_reject_interval"][1]
    card = open_model(out / "model").card
    assert card.threshold_choice["false_rejects"] == 0.2
    assert any("without labels" in weakness for weakness in card.known_weaknesses)
    assert "How many real defects it misses" in (out / "report.md").read_text()


def test_the_drawn_data_set_is_the_plants_own_steel(folder: Path, weights: Path, tmp_path: Path) -> None:
    """Sound entries are the frames themselves; the others differ, and are labelled, on part of them only. The
    held-out frames are in no training entry."""
    out, donor = tmp_path / "first", write_label_maps(tmp_path / "donor", 8)
    more = [*options(weights), "--transplant", str(donor)]
    with patch("trainer.commission.run.train", side_effect=KeyboardInterrupt):
        main(["commission", str(folder), "--out", str(out), *more])
    data = open_dataset(out / "data")
    assert data.classes == ("normal", "pits", "cracks", "scratches", "patches", "pit", "streak")
    seen = set()
    for name in data.names:
        pixels, own = data.frame(name), read_mono(folder / f"{name[:3]}.png")
        label = data.label(name, (64, 96))
        seen |= set(np.unique(label).tolist())
        if name.endswith("-0.png"):
            assert np.array_equal(pixels, own)
            assert not label.any()
        else:
            assert 0 < np.count_nonzero(label) < label.size
            assert (pixels != own)[label > 0].mean() > 0.2
    assert seen == set(range(7))
    split = json.loads((out / "data" / "split.json").read_text())
    train, val = ({name[:3] for name in split[part]} for part in ("train", "val"))
    assert not train & val
    assert f"{ODD:03}" not in train | val


def test_own_frames_may_have_several_sizes(weights: Path, tmp_path: Path) -> None:
    """Each keeps its size in the data set; the training chooses the size of the engine."""
    folder, out = tmp_path / "frames", tmp_path / "first"
    folder.mkdir()
    for index, pixels in enumerate(own_frames()):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), pixels[:, : 96 - 8 * (index % 4)])
    made("commission", folder, "--out", out, *options(weights))
    data = open_dataset(out / "data")
    assert {data.frame(name).shape for name in data.names} == {(64, 96 - 8 * less) for less in range(4)}
    card = open_model(out / "model").card
    assert (card.height, card.width) == (64, 96)


def test_a_transplanted_defect_changes_the_steel_as_it_did_at_home(tmp_path: Path) -> None:
    """A pit that is 70 grey levels darker than steel of 120 darkens steel of 60 by the same factor."""
    pits = [cutting for cutting in cut_defects(write_label_maps(tmp_path / "donor", 8)) if cutting.name == "pit"]
    pixels, label = np.full((64, 64), 60, np.uint8), np.zeros((64, 64), np.uint8)
    pits[0].onto(pixels, label, 3, np.random.default_rng(0))
    assert set(np.unique(label).tolist()) == {0, 3}
    assert np.median(pixels[label == 3]) == pytest.approx(60 * 50 / 120, abs=3)
    assert (pixels[0] == 60).all() or label[0].any()


def test_what_cannot_be_commissioned_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few frames, no folder, an invalid share, frames too small to draw on."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64), np.uint8))
    (tmp_path / "small").mkdir()
    for index in range(20):
        cv2.imwrite(str(tmp_path / "small" / f"{index}.png"), np.full((40, 96), 90 + index, np.uint8))
    for number, (words, said) in enumerate(
        [
            ([str(tmp_path)], "1 readable frames: commissioning needs 20"),
            ([str(tmp_path / "none")], "no such folder"),
            ([str(tmp_path / "small")], "is 40×96 px: defects are drawn on frames of 64 px each way or more"),
            ([str(tmp_path), "--held-out", "0.9"], "--held-out"),
            ([], "name a folder of images or a recording"),
        ]
    ):
        assert main(["commission", *words, "--out", str(tmp_path / f"out{number}")]) == 2
        assert said in capsys.readouterr().err
